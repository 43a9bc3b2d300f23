//! The form of a campaign: numbers with words, lists as people write them.

use ottery_proto::billing::v1::Campaign;
use ottery_proto::billing::v1::campaign::{Channel, Contact, Halt, PlanPatience, Window};
use ottery_proto::catalog::v1::Plan;

use crate::pages::block::{Field, Sent};
use crate::problem::{Refusal, Reply};

fn head(label: &str) -> Field {
    Field::new("heading", "", label)
}

fn number(name: impl Into<String>, label: impl Into<String>) -> Field {
    Field::new("number", name, label).half()
}

fn listed<T: ToString>(numbers: impl IntoIterator<Item = T>) -> String {
    numbers.into_iter().map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}

/// The hours of what is told in this way.
fn told_by(campaign: &Campaign, channel: Channel) -> impl Iterator<Item = i32> {
    let is_told = move |contact: &&Contact| contact.channels().any(|known| known == channel);
    campaign.contacts.iter().filter(is_told).map(|contact| contact.hours)
}

fn name_of(plan: &Plan) -> String {
    plan.current.as_ref().map_or_else(|| plan.slug.clone(), |version| version.name.clone())
}

/// Its fields, holding what the campaign says.
#[must_use]
pub fn fields(campaign: &Campaign, version: u32, plans: &[Plan]) -> Vec<Field> {
    let halt = campaign.halt.unwrap_or_default();
    let hour = |hour: Option<u32>| hour.map(|hour| hour.to_string()).unwrap_or_default();
    let mut fields = vec![
        Field::hidden("version", version.to_string()),
        head("What customers hear"),
        Field::text("contacts", "Reminders by mail, in hours after the invoice is due")
            .value(listed(told_by(campaign, Channel::Mail)))
            .example("-72, 24, 96")
            .help("Negative is before. Each has the amount, the reason and a link that pays without signing in."),
        Field::text("notices", "Notices in the customer's account, in hours after the invoice is due")
            .value(listed(told_by(campaign, Channel::InApp)))
            .example("24, 96")
            .help("There until it is paid or hidden. At the same hour as a mail they are one reminder."),
        number("cooldown_hours", "Least hours between two mails to a customer")
            .value(campaign.cooldown_hours.to_string())
            .help("At least 20, whatever they owe for."),
        number("confirm_pause_hours", "Hours everything waits when a bank wants the customer to confirm")
            .value(campaign.confirm_pause_hours.to_string()),
        number("from_hour", "Not before this hour of the customer's day")
            .value(hour(campaign.window.map(|window| window.from_hour)))
            .help("Empty: at any hour."),
        number("to_hour", "Not after this hour").value(hour(campaign.window.map(|window| window.to_hour))),
        head("What is tried"),
        Field::text("charge_hours", "Charges of the saved method, in hours after the invoice is due")
            .value(listed(&campaign.charge_hours))
            .example("0, 24, 72, 120")
            .help("All but the first follow a decline that may mend itself. A stolen or closed card is never tried again."),
        Field::check("tries_other_method", "Then try another saved method", campaign.tries_other_method),
        head("How patient you are"),
        number("grace_days", "Days from due to suspension").value(campaign.grace_days.to_string()).required(),
        number("terminate_after_days", "Days from suspension to the end")
            .value(campaign.terminate_after_days.to_string())
            .required(),
    ];
    for plan in plans {
        let own = campaign.plans.iter().find(|own| own.plan_id == plan.id);
        let days = |days: Option<u32>| days.map(|days| days.to_string()).unwrap_or_default();
        fields.push(
            number(format!("grace.{}", plan.id), format!("{}: days to suspension", name_of(plan)))
                .value(days(own.map(|own| own.grace_days)))
                .help("Empty: as above."),
        );
        fields.push(
            number(format!("terminate.{}", plan.id), format!("{}: days to the end", name_of(plan)))
                .value(days(own.map(|own| own.terminate_after_days))),
        );
    }
    fields.extend([
        head("When so many are suspended within an hour that something must be wrong"),
        number("halt_count", "So many are always believed").value(halt.count.to_string()).required(),
        number("halt_share", "And this share of all subscriptions, in percent")
            .value(halt.share_percent.to_string())
            .required(),
    ]);
    fields
}

fn numbers<T: std::str::FromStr>(sent: &Sent, name: &str) -> Reply<Vec<T>> {
    let parse = |text: String| {
        text.parse().map_err(|_| {
            Refusal::invalid(name, "number_invalid", format!("`{text}` is not a number of hours that fits here"))
        })
    };
    sent.list(name).into_iter().map(parse).collect()
}

/// One reminder per hour: by mail, in the account, or both. The hours stay in the order they were typed in, so that one that is
/// out of order is refused; notices go where they belong.
fn contacts(mails: &[i32], notices: &[i32]) -> Vec<Contact> {
    let mut contacts: Vec<Contact> = mails
        .iter()
        .map(|hours| {
            let in_app = notices.contains(hours).then_some(Channel::InApp.into());
            Contact { hours: *hours, channels: std::iter::once(Channel::Mail.into()).chain(in_app).collect() }
        })
        .collect();
    for hours in notices.iter().filter(|hours| !mails.contains(hours)) {
        let at = contacts.iter().position(|contact| contact.hours > *hours).unwrap_or(contacts.len());
        contacts.insert(at, Contact { hours: *hours, channels: vec![Channel::InApp.into()] });
    }
    contacts
}

/// The campaign as the form says.
///
/// # Errors
/// What is no number.
pub fn read(sent: &Sent, plans: &[Plan]) -> Reply<Campaign> {
    let contacts = contacts(&numbers(sent, "contacts")?, &numbers(sent, "notices")?);
    let is_any_hour = sent.get("from_hour").is_empty() && sent.get("to_hour").is_empty();
    let mut own = Vec::new();
    for plan in plans {
        let (grace, terminate) = (format!("grace.{}", plan.id), format!("terminate.{}", plan.id));
        if sent.get(&grace).is_empty() && sent.get(&terminate).is_empty() {
            continue;
        }
        for name in [&grace, &terminate] {
            if sent.get(name).is_empty() {
                return Err(Refusal::invalid(name, "missing", "give both numbers of a plan, or none"));
            }
        }
        own.push(PlanPatience {
            plan_id: plan.id.clone(),
            grace_days: sent.number(&grace)?,
            terminate_after_days: sent.number(&terminate)?,
        });
    }
    Ok(Campaign {
        contacts,
        charge_hours: numbers(sent, "charge_hours")?,
        tries_other_method: sent.is_on("tries_other_method"),
        confirm_pause_hours: sent.number("confirm_pause_hours")?,
        cooldown_hours: sent.number("cooldown_hours")?,
        window: if is_any_hour {
            None
        } else {
            Some(Window { from_hour: sent.number("from_hour")?, to_hour: sent.number("to_hour")? })
        },
        grace_days: sent.number("grace_days")?,
        terminate_after_days: sent.number("terminate_after_days")?,
        plans: own,
        halt: Some(Halt { count: sent.number("halt_count")?, share_percent: sent.number("halt_share")? }),
    })
}

/// Billing names fields by their path; the form has lists in one field.
#[must_use]
pub fn renamed(mut refusal: Refusal) -> Refusal {
    let Some(path) = refusal.field.as_deref().and_then(|field| field.strip_prefix("campaign.")) else { return refusal };
    let field = match path.split(['[', '.']).next().unwrap_or_default() {
        "window" => path.rsplit('.').next().unwrap_or_default(),
        "halt" if path.ends_with("count") => "halt_count",
        "halt" => "halt_share",
        whole => whole,
    };
    refusal.field = Some(field.to_owned());
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pairs: &[(&str, &str)]) -> Sent {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sent::from(pairs)
    }

    #[test]
    fn what_the_form_shows_is_what_it_reads() {
        let plan = Plan { id: "pln_1".into(), slug: "basic".into(), ..Plan::default() };
        let contact = |hours, channels: &[Channel]| Contact {
            hours,
            channels: channels.iter().map(|channel| (*channel).into()).collect(),
        };
        let campaign = Campaign {
            contacts: vec![
                contact(-72, &[Channel::Mail]),
                contact(0, &[Channel::InApp]),
                contact(24, &[Channel::Mail, Channel::InApp]),
            ],
            charge_hours: vec![0, 24],
            tries_other_method: true,
            confirm_pause_hours: 24,
            cooldown_hours: 20,
            window: Some(Window { from_hour: 9, to_hour: 20 }),
            grace_days: 7,
            terminate_after_days: 14,
            plans: vec![PlanPatience { plan_id: "pln_1".into(), grace_days: 2, terminate_after_days: 3 }],
            halt: Some(Halt { count: 50, share_percent: 5 }),
        };
        let plans = [plan];
        let shown = fields(&campaign, 3, &plans);
        let pairs: Vec<_> = shown.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
        assert_eq!(read(&Sent::from(pairs), &plans).unwrap(), campaign);
    }

    #[test]
    fn what_is_no_number_or_half_of_two_names_its_field() {
        let plans = [Plan { id: "pln_1".into(), ..Plan::default() }];
        for (pairs, field) in [
            ([("contacts", "-72, soon"), ("charge_hours", "0")], "contacts"),
            ([("contacts", "-72"), ("charge_hours", "-1")], "charge_hours"),
            ([("contacts", "-72"), ("grace.pln_1", "2")], "terminate.pln_1"),
        ] {
            assert_eq!(read(&sent(&pairs), &plans).unwrap_err().field.as_deref(), Some(field));
        }
    }

    #[test]
    fn a_refusal_of_billing_finds_its_field() {
        for (path, field) in [
            ("campaign.contacts[2].hours", "contacts"),
            ("campaign.charge_hours[1]", "charge_hours"),
            ("campaign.window.to_hour", "to_hour"),
            ("campaign.halt.share_percent", "halt_share"),
            ("campaign.grace_days", "grace_days"),
        ] {
            let refusal = renamed(Refusal::invalid(path, "range", "no"));
            assert_eq!(refusal.field.as_deref(), Some(field));
        }
    }
}

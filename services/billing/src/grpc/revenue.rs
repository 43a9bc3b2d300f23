//! Deferred revenue.

use chrono::{NaiveDate, TimeDelta};
use ottery_kernel::Money;
use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;

use super::wallet::day;
use super::{Caller, convert};
use crate::app::Billing;
use crate::app::deferral::Outlook;

fn outlook(found: &Outlook) -> proto::DeferredOutlook {
    let month = |(month, amount): &(NaiveDate, Money)| proto::DeferredMonth {
        month: month.format("%Y-%m").to_string(),
        amount: Some(convert::money(*amount)),
    };
    proto::DeferredOutlook {
        total: Some(convert::money(found.total)),
        paused: Some(convert::money(found.paused)),
        months: found.months.iter().map(month).collect(),
    }
}

pub(super) async fn deferred(
    app: &Billing,
    actor: Actor,
    request: proto::GetDeferredRevenueRequest,
) -> Result<proto::DeferredRevenue, Problem> {
    let caller = Caller::staff(actor, "ledger.read")?;
    let (from, to) = match (request.from.as_str(), request.to.as_str()) {
        ("", "") => {
            let today = app.brand_today(caller.brand).await?;
            (today - TimeDelta::days(30), today)
        }
        (from, to) => (day("from", from)?, day("to", to)?),
    };
    let report = app.deferred_revenue(caller.brand, (from, to)).await?;
    let recognised = |(day, amount): &(NaiveDate, Money)| proto::RecognisedDay {
        day: day.to_string(),
        amount: Some(convert::money(*amount)),
    };
    Ok(proto::DeferredRevenue {
        from: from.to_string(),
        to: to.to_string(),
        time_zone: report.zone.to_string(),
        days: report.days.iter().map(recognised).collect(),
        outlooks: report.outlooks.iter().map(outlook).collect(),
    })
}

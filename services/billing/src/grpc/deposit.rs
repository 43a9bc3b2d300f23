//! Addresses that wait for coins, at the edge.

use ottery_kernel::Money;
use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::deposit::State;

use crate::app::Billing;
use crate::app::payment::ShownDeposit;
use crate::contract::{money, timestamp};
use crate::domain::coin::{Place, Standing, Transfer};

/// Whoever calls: the token decides.
pub(super) async fn read_deposit(
    app: &Billing,
    actor: Actor,
    request: proto::ReadDepositRequest,
) -> Result<proto::Deposit, Problem> {
    let brand = actor.brand_or_problem()?;
    Ok(shown(app.show_deposit(brand, &request.token).await?))
}

pub(super) async fn renew_deposit(
    app: &Billing,
    actor: Actor,
    request: proto::RenewDepositRequest,
) -> Result<proto::Deposit, Problem> {
    let brand = actor.brand_or_problem()?;
    Ok(shown(app.renew_deposit(brand, &request.token).await?))
}

fn shown(shown: ShownDeposit) -> proto::Deposit {
    let deposit = &shown.stored.deposit;
    let told = told(&shown.standing, shown.is_closed);
    proto::Deposit {
        state: told.state.into(),
        coin: deposit.coin.code().to_owned(),
        address: shown.stored.address.clone(),
        title: shown.stored.title.clone(),
        owed: Some(money(deposit.owed)),
        amount: shown.ask.as_ref().map(|ask| ask.amount.to_decimal()).unwrap_or_default(),
        link: shown.ask.as_ref().map(|ask| ask.link.clone()).unwrap_or_default(),
        until: shown.ask.as_ref().map(|ask| timestamp(ask.until)),
        seen: told.seen.map(money),
        difference: told.difference.map(money),
        late: told.is_late,
        confirmations: told.confirmations,
        confirmations_needed: told.needed,
        transfers: deposit.transfers.iter().map(transfer).collect(),
        looked_at: shown.stored.looked_at.map(timestamp),
        return_url: shown.stored.return_url.clone(),
        test_mode: shown.is_test,
        now: Some(timestamp(shown.now)),
    }
}

struct Told {
    state: State,
    seen: Option<Money>,
    difference: Option<Money>,
    is_late: bool,
    confirmations: u32,
    needed: u32,
}

fn told(standing: &Standing, is_closed: bool) -> Told {
    let of = |state| Told { state, seen: None, difference: None, is_late: false, confirmations: 0, needed: 0 };
    match standing {
        Standing::Waiting { .. } | Standing::Expired if is_closed => of(State::Closed),
        Standing::Waiting { .. } => of(State::Waiting),
        Standing::Expired => of(State::Expired),
        Standing::Seen { confirmations, needed, is_late } => {
            Told { confirmations: *confirmations, needed: *needed, is_late: *is_late, ..of(State::Seen) }
        }
        Standing::Short { seen, missing, is_late } => {
            Told { seen: Some(*seen), difference: Some(*missing), is_late: *is_late, ..of(State::Short) }
        }
        Standing::Paid { over } => {
            Told { difference: Some(*over).filter(|over| over.is_positive()), ..of(State::Paid) }
        }
        Standing::Kept { amount } => Told { difference: Some(*amount), ..of(State::Kept) },
    }
}

fn transfer(one: &Transfer) -> proto::DepositTransfer {
    proto::DepositTransfer {
        reference: one.reference.clone(),
        amount: one.amount.to_decimal(),
        gone: one.place == Place::Gone,
        mined: matches!(one.place, Place::Mined { .. }),
        seen_at: Some(timestamp(one.seen_at)),
    }
}

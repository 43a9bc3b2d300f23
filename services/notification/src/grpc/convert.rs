//! Domain to contract and back.

use chrono::{DateTime, Utc};
use ottery_proto::notification::v1::{Delivery, Template, delivery as proto};

use crate::app::{TemplateView, template::Draft};
use crate::domain::defaults::Wording;
use crate::domain::delivery::State;
use crate::store::delivery;

fn instant(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

/// A mail, without what it is filled with.
pub fn delivery(delivery: &delivery::Delivery) -> Delivery {
    let state = match delivery.state {
        State::Planned => proto::State::Planned,
        State::Sending => proto::State::Sending,
        State::Sent => proto::State::Sent,
        State::Unknown => proto::State::Unknown,
        State::Failed => proto::State::Failed,
    };
    Delivery {
        id: delivery.id.to_string(),
        template: delivery.template.clone(),
        to: delivery.recipient.clone(),
        subject: delivery.subject.clone(),
        state: state.into(),
        message_id: delivery.message_id.clone(),
        attempts: delivery.attempts,
        last_error: delivery.last_error.clone(),
        created_at: Some(instant(delivery.created_at)),
        sent_at: delivery.sent_at.map(instant),
        event_id: delivery.event.to_string(),
    }
}

/// A wording.
pub fn template(view: TemplateView) -> Template {
    Template {
        name: view.kind.as_str().to_owned(),
        locale: view.locale,
        subject: view.wording.subject,
        body_text: view.wording.body_text,
        body_html: view.wording.body_html,
        customised: view.is_own,
        version: view.version.cast_unsigned(),
    }
}

/// A wording somebody wrote.
pub fn draft(template: Template) -> Draft {
    Draft {
        name: template.name,
        locale: template.locale,
        wording: Wording {
            subject: template.subject.trim().to_owned(),
            body_text: template.body_text,
            body_html: template.body_html,
        },
    }
}

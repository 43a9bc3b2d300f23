//! How contracts become JSON: fields keep their names, enums lose their prefix, empty text becomes null.

use std::collections::{BTreeMap, HashMap};

use axum::http::StatusCode;
use chrono::{DateTime, SubsecRound as _, Utc};
use ottery_proto::common::v1 as common;
use prost_types::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Refusal;

/// Items on a page unless the request says otherwise.
const PAGE_SIZE: u32 = 50;
/// Items on a page at most.
const PAGE_SIZE_MAX: u32 = 100;

/// An amount in whole minor units (cents for EUR, yen for JPY).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// ISO 4217 code, upper case.
    #[schema(example = "EUR")]
    pub currency: String,
    /// Minor units.
    #[schema(example = 999)]
    pub minor: i64,
}

impl From<common::Money> for Money {
    fn from(given: common::Money) -> Self {
        Self { currency: given.currency, minor: given.minor }
    }
}

impl From<Money> for common::Money {
    fn from(given: Money) -> Self {
        Self { currency: given.currency, minor: given.minor }
    }
}

/// An instant in RFC 3339, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = DateTime)]
pub struct Time(pub DateTime<Utc>);

impl From<Timestamp> for Time {
    fn from(given: Timestamp) -> Self {
        let nanos = u32::try_from(given.nanos).unwrap_or(0);
        Self(DateTime::from_timestamp(given.seconds, nanos).unwrap_or_default().trunc_subsecs(6))
    }
}

impl From<Time> for Timestamp {
    fn from(given: Time) -> Self {
        let nanos = i32::try_from(given.0.timestamp_subsec_nanos()).unwrap_or(0);
        Self { seconds: given.0.timestamp(), nanos }
    }
}

/// A part of a list, newest first unless the operation says otherwise.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// Ask with this cursor for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of a service's reply.
    pub fn of<P: Into<T>>(items: Vec<P>, page: Option<common::PageReply>) -> Self {
        let next_cursor = Some(page.unwrap_or_default().next_cursor).filter(|cursor| !cursor.is_empty());
        Self { items: items.into_iter().map(Into::into).collect(), next_cursor }
    }
}

/// A short list that comes whole.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// Everything there is.
    pub items: Vec<T>,
}

impl<T> List<T> {
    /// A service's reply.
    pub fn of<P: Into<T>>(items: Vec<P>) -> Self {
        Self { items: items.into_iter().map(Into::into).collect() }
    }
}

/// Where to continue a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items on the page, 1 to 100; 50 when not given.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// The page a request asks for.
///
/// # Errors
/// 400 when the size is out of bounds.
pub fn page(cursor: Option<String>, limit: Option<u32>) -> Result<Option<common::PageRequest>, Refusal> {
    let limit = limit.unwrap_or(PAGE_SIZE);
    if !(1..=PAGE_SIZE_MAX).contains(&limit) {
        return Err(Refusal::invalid("limit", "limit_invalid", format!("a page has 1 to {PAGE_SIZE_MAX} items")));
    }
    Ok(Some(common::PageRequest { cursor: cursor.unwrap_or_default(), limit }))
}

impl PageQuery {
    /// As services take it.
    ///
    /// # Errors
    /// See [`page`].
    pub fn request(self) -> Result<Option<common::PageRequest>, Refusal> {
        page(self.cursor, self.limit)
    }
}

/// Whether a change is only tried.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DryRun {
    /// Check everything and answer with what would be there afterwards, but change nothing: 200, and ids of new things are
    /// ids of nothing.
    #[serde(default)]
    #[param(required = false)]
    pub dry_run: bool,
}

impl DryRun {
    /// The status of an answer about something new.
    #[must_use]
    pub fn created(self) -> StatusCode {
        if self.dry_run { StatusCode::OK } else { StatusCode::CREATED }
    }
}

/// Turns a field of a contract into a field of the API.
pub trait Show<T> {
    /// The API's form.
    fn show(self) -> T;
}

macro_rules! same {
    ($($kind:ty),*) => {$(
        impl Show<$kind> for $kind {
            fn show(self) -> $kind {
                self
            }
        }
    )*};
}

same!(String, u32, u64, i64, i32, bool, f64);

impl Show<Option<String>> for String {
    fn show(self) -> Option<String> {
        Some(self).filter(|text| !text.is_empty())
    }
}

impl<T, U: From<T>> Show<Option<U>> for Option<T> {
    fn show(self) -> Option<U> {
        self.map(U::from)
    }
}

impl<T, U: From<T>> Show<Vec<U>> for Vec<T> {
    fn show(self) -> Vec<U> {
        self.into_iter().map(U::from).collect()
    }
}

impl Show<BTreeMap<String, String>> for HashMap<String, String> {
    fn show(self) -> BTreeMap<String, String> {
        self.into_iter().collect()
    }
}

/// An answer of the API made from a message of the same field names.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident from $message:ty { $($(#[$note:meta])* $field:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
        pub struct $name {
            $($(#[$note])* pub $field: $kind,)*
        }

        impl From<$message> for $name {
            fn from(given: $message) -> Self {
                Self { $($field: $crate::api::view::Show::show(given.$field),)* }
            }
        }
    };
}

/// An enum of the API with the words of a contract's enum.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident from $message:ty { $($(#[$note:meta])* $word:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$note])* $word,)*
            /// A word this version does not know.
            #[serde(skip_deserializing)]
            Unspecified,
        }

        impl $crate::api::view::Show<$name> for i32 {
            fn show(self) -> $name {
                match <$message>::try_from(self) {
                    $(Ok(<$message>::$word) => $name::$word,)*
                    Ok(<$message>::Unspecified) | Err(_) => $name::Unspecified,
                }
            }
        }

        impl From<$name> for i32 {
            fn from(given: $name) -> Self {
                match given {
                    $($name::$word => <$message>::$word.into(),)*
                    $name::Unspecified => <$message>::Unspecified.into(),
                }
            }
        }
    };
}

pub(crate) use {view, words};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_between_one_and_a_hundred_items() {
        for limit in [0, 101, u32::MAX] {
            assert_eq!(page(None, Some(limit)).unwrap_err().code, "limit_invalid");
        }
        assert_eq!(page(None, None).unwrap().unwrap().limit, 50);
        assert_eq!(page(None, Some(100)).unwrap().unwrap().limit, 100);
    }

    #[test]
    fn instants_are_written_in_rfc_3339() {
        let time = Time::from(Timestamp { seconds: 1_768_478_400, nanos: 0 });
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2026-01-15T12:00:00Z\"");
    }
}

//! What exchanges say a coin costs. Each is asked in its own words; what they agree on is for the domain to say.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use ottery_kernel::Currency;
use ottery_kit::http::GuardedClient;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::coin::{Coin, Price, Quote};

/// Currencies in which all three exchanges, or at least two of them, have a market of their own.
const CURRENCIES: [&str; 7] = ["AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "USD"];

/// An exchange, as its public interface is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PriceSource {
    /// `/0/public/Ticker`; the last trade.
    Kraken,
    /// `/v2/prices/{pair}/spot`
    Coinbase,
    /// `/api/v2/ticker/{pair}/`; the last trade, and when it was.
    Bitstamp,
}

impl PriceSource {
    const fn name(self) -> &'static str {
        match self {
            Self::Kraken => "kraken",
            Self::Coinbase => "coinbase",
            Self::Bitstamp => "bitstamp",
        }
    }

    fn path(self, coin: Coin, currency: Currency) -> String {
        let (coin, currency) = (coin.code(), currency.code());
        match self {
            Self::Kraken => format!("/0/public/Ticker?pair={}{currency}", if coin == "BTC" { "XBT" } else { coin }),
            Self::Coinbase => format!("/v2/prices/{coin}-{currency}/spot"),
            Self::Bitstamp => format!("/api/v2/ticker/{}{}/", coin.to_lowercase(), currency.to_lowercase()),
        }
    }

    /// The price in an answer, and when it was so; `now` where the answer does not say.
    fn read(self, body: &[u8], currency: Currency, now: DateTime<Utc>) -> Option<(Price, DateTime<Utc>)> {
        let body: Value = serde_json::from_slice(body).ok()?;
        match self {
            // The result is named by Kraken's own name of the pair.
            Self::Kraken => {
                let pair = body.get("result")?.as_object()?.values().next()?;
                Some((pair.get("c")?.get(0)?.as_str()?.parse().ok()?, now))
            }
            Self::Coinbase => {
                let data = body.get("data")?;
                let is_asked = data.get("currency")?.as_str()? == currency.code();
                is_asked.then_some((data.get("amount")?.as_str()?.parse().ok()?, now))
            }
            Self::Bitstamp => {
                let seconds = body.get("timestamp")?.as_str()?.parse().ok()?;
                Some((body.get("last")?.as_str()?.parse().ok()?, DateTime::from_timestamp(seconds, 0)?))
            }
        }
    }
}

/// The exchanges that are asked, and where they are.
#[derive(Clone, Debug)]
pub struct PriceSources {
    client: GuardedClient,
    sources: Vec<(PriceSource, String)>,
}

impl PriceSources {
    /// Those sources.
    #[must_use]
    pub fn new(client: GuardedClient, sources: Vec<(PriceSource, String)>) -> Self {
        Self { client, sources }
    }

    /// Whether prices are to be had in that currency.
    #[must_use]
    pub fn has(&self, currency: Currency) -> bool {
        CURRENCIES.contains(&currency.code())
    }

    /// What they say now, all asked at once. Whoever does not answer, or not as documented, says nothing.
    pub async fn ask(&self, coin: Coin, currency: Currency, now: DateTime<Utc>) -> Vec<Quote> {
        let asked = self.sources.iter().map(|(source, base_url)| async move {
            let quote = self.ask_one(*source, base_url, coin, currency, now).await;
            if quote.is_none() {
                tracing::warn!(price.source = source.name(), currency = currency.code(), "no price");
            }
            quote
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn ask_one(
        &self,
        source: PriceSource,
        base_url: &str,
        coin: Coin,
        currency: Currency,
        now: DateTime<Utc>,
    ) -> Option<Quote> {
        let url = format!("{}{}", base_url.trim_end_matches('/'), source.path(coin, currency));
        let request = self.client.request(Method::GET, &url).ok()?.timeout(TIMEOUT);
        let response = self.client.send(request).await.ok().filter(|response| response.status().is_success())?;
        let (price, at) = source.read(&response.bytes().await.ok()?, currency, now)?;
        // A clock that is a little ahead of ours is no reason to do without.
        let at = if at > now && at - now < TimeDelta::seconds(30) { now } else { at };
        Some(Quote { source: source.name().to_owned(), price, at })
    }
}

/// Somebody waits for the page.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    /// The shapes are those of the exchanges' public documentation; none was asked from where this is built.
    #[test]
    fn every_exchange_is_understood() {
        let cases: [(PriceSource, &str, DateTime<Utc>); 3] = [
            (
                PriceSource::Kraken,
                r#"{"error":[],"result":{"XXBTZEUR":{"a":["87124.1","1","1.000"],"c":["87123.50000","0.00100000"]}}}"#,
                noon(),
            ),
            (PriceSource::Coinbase, r#"{"data":{"amount":"87123.5","base":"BTC","currency":"EUR"}}"#, noon()),
            (
                PriceSource::Bitstamp,
                r#"{"timestamp":"1799999990","last":"87123.50","bid":"87120"}"#,
                noon() - TimeDelta::seconds(10),
            ),
        ];
        for (source, body, at) in cases {
            let read = source.read(body.as_bytes(), Currency::EUR, noon());
            assert_eq!(read, Some(("87123.5".parse().unwrap(), at)), "{source:?}");
            for wrong in [
                "",
                "{}",
                "[]",
                r#"{"data":{"amount":"1","currency":"USD"}}"#,
                r#"{"error":["EQuery:Unknown asset pair"]}"#,
            ] {
                assert_eq!(source.read(wrong.as_bytes(), Currency::EUR, noon()), None, "{source:?} {wrong}");
            }
        }
        assert_eq!(PriceSource::Kraken.path(Coin::Bitcoin, Currency::EUR), "/0/public/Ticker?pair=XBTEUR");
        assert_eq!(PriceSource::Coinbase.path(Coin::Bitcoin, Currency::EUR), "/v2/prices/BTC-EUR/spot");
        assert_eq!(PriceSource::Bitstamp.path(Coin::Bitcoin, Currency::EUR), "/api/v2/ticker/btceur/");
        assert_eq!(PriceSource::Kraken.path(Coin::Ether, Currency::EUR), "/0/public/Ticker?pair=ETHEUR");
        assert_eq!(PriceSource::Coinbase.path(Coin::Ether, Currency::EUR), "/v2/prices/ETH-EUR/spot");
    }
}

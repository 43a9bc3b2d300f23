//! Everybody who is paid through in a storm, behind one face each.

use std::collections::HashMap;

use anyhow::Context;
use billing::app::Billing;
use billing::app::payment::PutAccount;
use billing::domain::by_hand::{AloneUpTo, ByHandTerms};
use billing::domain::provider::{ProviderAccountId, Terms};
use ottery_kernel::{Currency, Money};
use ottery_kit::secret::Secret;
use tokio::sync::mpsc::Sender;

use super::brand::{Brand, said};
use super::plan::{Act, Gateway, Weather};
use super::post::Letter;
use super::{btcpay, paypal, sandbox};

/// What a provider truly took: minor units by our reference.
pub type Truth = HashMap<String, Vec<i64>>;

/// A page a customer was sent to.
#[derive(Clone, Debug)]
pub struct Page {
    /// Our id of the payment.
    pub payment: String,
    /// Its address.
    pub url: String,
    /// The provider's id of it.
    pub reference: String,
}

/// The providers that run, and the accounts billing has there.
pub struct Faces {
    sandbox: Option<sandbox::Provider>,
    paypal: Option<paypal::Provider>,
    btcpay: Option<btcpay::Provider>,
    accounts: HashMap<Gateway, ProviderAccountId>,
}

impl Faces {
    /// Starts those of these gateways that are programs.
    ///
    /// # Errors
    /// One does not start.
    pub async fn start(gateways: &[Gateway], seed: u64, slot: &Sender<Letter>) -> anyhow::Result<Self> {
        let mut faces = Self { sandbox: None, paypal: None, btcpay: None, accounts: HashMap::new() };
        for gateway in gateways {
            match gateway {
                Gateway::Sandbox => faces.sandbox = Some(sandbox::Provider::start(seed, slot.clone()).await?),
                Gateway::Paypal => faces.paypal = Some(paypal::Provider::start(seed, slot.clone()).await?),
                Gateway::Btcpay => faces.btcpay = Some(btcpay::Provider::start(slot.clone()).await?),
                Gateway::BankTransfer | Gateway::Cash => {}
            }
        }
        Ok(faces)
    }

    /// Who vouches for what signs PayPal's webhooks, in PEM; nobody where it is left out.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn authority(&self) -> anyhow::Result<Option<Vec<u8>>> {
        self.paypal.as_ref().map(paypal::Provider::authority).transpose()
    }

    /// Makes an account of the brand at each.
    ///
    /// # Errors
    /// Billing refuses.
    pub async fn connect(&mut self, brand: &Brand, billing: &Billing, gateways: &[Gateway]) -> anyhow::Result<()> {
        for gateway in gateways {
            let put = self.asked(*gateway)?;
            let kept = billing.put_provider_account(&brand.staff, brand.id, put).await;
            let kept = kept.map_err(|problem| said(&problem)).context(gateway.as_str())?;
            self.accounts.insert(*gateway, kept.id);
            let address = kept.id.to_string();
            match gateway {
                Gateway::Sandbox => self.sandbox()?.send_to(&address).await?,
                Gateway::Paypal => self.paypal.as_mut().context("PayPal runs")?.send_to(&address),
                Gateway::Btcpay => self.btcpay.as_mut().context("BTCPay Server runs")?.send_to(&address),
                Gateway::BankTransfer | Gateway::Cash => {}
            }
        }
        Ok(())
    }

    fn sandbox(&self) -> anyhow::Result<&sandbox::Provider> {
        self.sandbox.as_ref().context("the sandbox runs")
    }

    fn paypal(&self) -> anyhow::Result<&paypal::Provider> {
        self.paypal.as_ref().context("PayPal runs")
    }

    fn btcpay(&self) -> anyhow::Result<&btcpay::Provider> {
        self.btcpay.as_ref().context("BTCPay Server runs")
    }

    fn asked(&self, gateway: Gateway) -> anyhow::Result<PutAccount> {
        let (base_url, api_key, secret) = match gateway {
            Gateway::Sandbox => (self.sandbox()?.base_url(), sandbox::KEY.to_owned(), Some(sandbox::SECRET)),
            Gateway::Paypal => (self.paypal()?.base_url(), paypal::Provider::key(), Some(paypal::WEBHOOK_ID)),
            Gateway::Btcpay => (self.btcpay()?.base_url(), btcpay::Provider::key(), Some(btcpay::SECRET)),
            Gateway::BankTransfer | Gateway::Cash => (String::new(), String::new(), None),
        };
        // Accounts that read alike would stand in for each other.
        let terms = Terms { name: gateway.as_str().to_owned(), ..Terms::default() };
        let by_hand = gateway.is_by_hand().then(|| told(gateway));
        Ok(PutAccount {
            id: None,
            provider: gateway.as_str().into(),
            base_url,
            api_key: Secret::from(api_key),
            webhook_secrets: secret.into_iter().map(Secret::new).collect(),
            terms: Some(Terms { by_hand, ..terms }),
            expected_version: 0,
            is_dry_run: false,
        })
    }

    /// The account of the brand at a gateway.
    ///
    /// # Errors
    /// There is none.
    pub fn account(&self, gateway: Gateway) -> anyhow::Result<ProviderAccountId> {
        self.accounts.get(&gateway).copied().with_context(|| format!("no account at {}", gateway.as_str()))
    }

    /// The next call that makes a page for that payment goes wrong.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn spoil_page(&self, gateway: Gateway, payment: &str, weather: Weather) -> anyhow::Result<()> {
        match gateway {
            Gateway::Sandbox => self.sandbox()?.spoil("checkout.create", payment, weather).await?,
            Gateway::Paypal => self.paypal()?.spoil("POST /v2/checkout/orders", payment, weather),
            Gateway::Btcpay => self.btcpay()?.spoil("POST /api/v1/stores", payment, weather),
            Gateway::BankTransfer | Gateway::Cash => {}
        }
        Ok(())
    }

    /// The next call that charges a saved method for that payment goes wrong, and the first one that looks for it, where the
    /// provider can be asked.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn spoil_charge(
        &self,
        gateway: Gateway,
        payment: &str,
        making: Weather,
        reading: Weather,
    ) -> anyhow::Result<()> {
        match gateway {
            Gateway::Sandbox => {
                self.sandbox()?.spoil("charge", payment, making).await?;
                self.sandbox()?.spoil("payment.list", payment, reading).await?;
            }
            Gateway::Paypal => {
                // It is looked for by making the same call again.
                self.paypal()?.spoil("POST /v2/checkout/orders", payment, making);
                self.paypal()?.spoil("POST /v2/checkout/orders", payment, reading);
            }
            Gateway::Btcpay | Gateway::BankTransfer | Gateway::Cash => {}
        }
        Ok(())
    }

    /// The next call that asks what became of a page goes wrong; at PayPal the one that takes the money as well.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn spoil_reading(&self, gateway: Gateway, page: &Page, weather: Weather) -> anyhow::Result<()> {
        match gateway {
            Gateway::Sandbox => self.sandbox()?.spoil("checkout.get", &page.reference, weather).await?,
            Gateway::Paypal => {
                let order = format!("/v2/checkout/orders/{}", page.reference);
                self.paypal()?.spoil(&format!("POST {order}/capture"), "", weather);
                self.paypal()?.spoil(&format!("GET {order}"), "", weather);
            }
            Gateway::Btcpay => {
                let invoice = format!("GET /api/v1/stores/{}/invoices/{}", btcpay::STORE, page.reference);
                self.btcpay()?.spoil(&invoice, "", weather);
            }
            Gateway::BankTransfer | Gateway::Cash => {}
        }
        Ok(())
    }

    /// What a customer does at a page.
    ///
    /// # Errors
    /// The page does not answer as it should.
    pub async fn act(&self, gateway: Gateway, page: &Page, act: Act) -> anyhow::Result<()> {
        match gateway {
            Gateway::Sandbox => self.sandbox()?.act(&page.url, act).await,
            Gateway::Paypal => self.paypal()?.act(page, act),
            Gateway::Btcpay => self.btcpay()?.act(page, act),
            Gateway::BankTransfer | Gateway::Cash => Ok(()),
        }
    }

    /// What everybody truly took.
    ///
    /// # Errors
    /// One does not answer.
    pub async fn truth(&self) -> anyhow::Result<Truth> {
        let mut truth = Truth::new();
        if let Some(sandbox) = &self.sandbox {
            truth.extend(sandbox.truth().await?);
        }
        if let Some(paypal) = &self.paypal {
            truth.extend(paypal.truth()?);
        }
        if let Some(btcpay) = &self.btcpay {
            truth.extend(btcpay.truth()?);
        }
        Ok(truth)
    }

    /// Lets providers say what they have to say; whether nobody has anything to tell or to decide any more.
    ///
    /// # Errors
    /// One does not answer.
    pub async fn is_quiet(&self) -> anyhow::Result<bool> {
        let has_told = self.paypal.as_ref().map_or(Ok(true), paypal::Provider::tell_captures)?;
        let is_decided = match &self.sandbox {
            Some(sandbox) => sandbox.is_quiet().await?,
            None => true,
        };
        Ok(has_told && is_decided)
    }
}

/// Minor units of an amount of euros in words (`12.99`).
///
/// # Errors
/// It is none.
pub fn minor(value: &str) -> anyhow::Result<i64> {
    let amount = Money::parse(value, Currency::EUR).with_context(|| format!("`{value}` is no amount of euros"))?;
    Ok(amount.minor)
}

/// What payers are told where staff records; one person is always enough.
fn told(gateway: Gateway) -> ByHandTerms {
    let bank = ByHandTerms {
        beneficiary: "Storm TV GmbH".into(),
        iban: "DE89 3704 0044 0532 0130 00".into(),
        bic: "COBADEFFXXX".into(),
        bank: "Commerzbank".into(),
        note: "Write nothing but the reference.".into(),
        days: 3,
        alone_up_to: vec![AloneUpTo { currency: Currency::EUR, minor: 1_000_000 }],
    };
    match gateway {
        Gateway::Cash => ByHandTerms { iban: String::new(), bic: String::new(), ..bank },
        _ => bank,
    }
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn amounts_in_words_are_read_to_the_cent() {
        assert_eq!((minor("12.99").unwrap(), minor("13").unwrap(), minor("0.05").unwrap()), (1_299, 1_300, 5));
        assert!(minor("1.555").is_err() && minor("").is_err() && minor("a.00").is_err());
    }
}

//! The mails there are, and what a template of each can say.

use serde_json::{Map, Value, json};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// What a mail is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $variant,)+ }

        impl Kind {
            /// Every mail there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Name of its template.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

kinds! {
    /// Prove the address.
    VerifyEmail = "account.verify_email",
    /// Choose a new password.
    ResetPassword = "account.reset_password",
    /// Somebody signed up with an address that has an account.
    AlreadyRegistered = "account.already_registered",
    /// Somebody signed in from where nobody did before.
    NewDevice = "account.new_device",
    /// The password is another one now.
    PasswordChanged = "account.password_changed",
    /// Choose the first password of a staff account.
    StaffInvitation = "staff.invitation",
    /// The credentials are usable.
    ServiceReady = "service.ready",
    /// A renewal has to be paid.
    InvoiceIssued = "invoice.issued",
    /// Thank you for the payment.
    Receipt = "invoice.receipt",
    /// A charge did not work.
    PaymentFailed = "payment.failed",
    /// A renewal invoice waits.
    Reminder = "payment.reminder",
    /// Money went back.
    Refunded = "refund.succeeded",
    /// Switched off until it is paid.
    Suspended = "subscription.suspended",
    /// Over.
    Ended = "subscription.ended",
    /// Ends with its period.
    Cancelled = "subscription.cancelled",
    /// Another price from a renewal on.
    PriceAnnounced = "subscription.price_announced",
    /// A saved card cannot be charged much longer.
    MethodExpiring = "payment.method_expiring",
    /// Less came by bank or in cash than is due.
    ByHandShort = "payment.by_hand_short",
    /// A file a customer sent is no proof of payment.
    ProofRefused = "payment.proof_refused",
    /// Tax is charged although there is a VAT number.
    VatNumber = "billing.vat_number",
    /// Staff looked at an order and do not accept it.
    OrderDeclined = "order.declined",
    /// Staff answered a ticket.
    TicketReplied = "ticket.replied",
}

impl Kind {
    /// From the name of its template.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Whether the mail carries a line's credentials.
    #[must_use]
    pub const fn has_credentials(self) -> bool {
        matches!(self, Self::ServiceReady)
    }

    /// The variables of its template with made-up values; a template may use these and no others.
    #[must_use]
    pub fn sample(self) -> Map<String, Value> {
        let amount = json!({ "minor": 1_299, "currency": "EUR" });
        let instant = 1_768_478_400;
        let vars = match self {
            Self::VerifyEmail
            | Self::ResetPassword
            | Self::AlreadyRegistered
            | Self::NewDevice
            | Self::PasswordChanged
            | Self::StaffInvitation => json!({}),
            Self::ServiceReady => json!({ "plan_name": "Premium", "expires_at": instant, "is_sandbox": false }),
            Self::InvoiceIssued => json!({
                "invoice_number": "INV-0007", "amount": amount, "due_at": instant, "is_renewal": true,
                "items": [{ "description": "Premium, 1 month", "amount": amount }],
            }),
            Self::Receipt => json!({
                "invoice_number": "INV-0007", "amount": amount, "tax": { "minor": 207, "currency": "EUR" },
                "tax_name": "VAT", "paid_at": instant,
                "items": [{ "description": "Premium, 1 month", "amount": amount }],
            }),
            Self::PaymentFailed => json!({
                "invoice_number": "INV-0007", "amount": amount, "failure_code": "insufficient_funds",
                "method": "Visa •••• 4242", "must_confirm": false,
            }),
            Self::Reminder => json!({
                "invoice_number": "INV-0007", "amount": amount, "due_at": instant, "plan_name": "Premium",
                "is_overdue": false, "step": 1,
            }),
            Self::Refunded => json!({
                "invoice_number": "INV-0007", "amount": amount, "credit_note_number": "CN-0001",
            }),
            Self::Suspended => json!({
                "plan_name": "Premium", "invoice_number": "INV-0007", "amount": amount, "due_at": instant,
            }),
            Self::Ended => json!({ "plan_name": "Premium" }),
            Self::Cancelled => json!({ "plan_name": "Premium", "cancel_at": instant }),
            Self::PriceAnnounced => json!({
                "plan_name": "Premium", "old_amount": { "minor": 1_099, "currency": "EUR" }, "new_amount": amount,
                "effective_at": instant,
            }),
            Self::OrderDeclined => json!({ "plan_name": "Premium" }),
            Self::MethodExpiring => json!({
                "method": "Visa ending 4242", "expires": "05/2027", "plan_names": "Premium", "renews_at": instant,
            }),
            Self::ByHandShort => json!({
                "title": "Premium, 1 month", "amount": amount, "came": amount, "reference": "RF18 5390 0754 7034",
            }),
            Self::ProofRefused => json!({
                "title": "Premium, 1 month", "amount": amount, "reference": "RF18 5390 0754 7034",
                "file_name": "transfer.pdf", "reason": "The amount cannot be read.",
            }),
            Self::VatNumber => json!({ "vat_number": "FR40303265045", "is_invalid": true }),
            Self::TicketReplied => json!({
                "ticket_number": "T-1001", "ticket_subject": "No picture", "text": "Please switch it off and on again.",
            }),
        };
        match vars {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

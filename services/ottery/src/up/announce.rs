//! What a person at the terminal needs to know.

use std::path::Path;
use std::time::Duration;

use super::entrance::Entrance;
use super::state::State;

/// Prints addresses and, for a demo, the credentials that were made.
pub fn print(data_dir: &Path, entrance: Entrance, state: &State, took: Duration) {
    let base = format!("{}://{}", entrance.scheme(), entrance.address);
    let label = if entrance.is_https { "" } else { " Plain HTTP: a demo mode, not for the open network." };
    println!("\nottery is ready ({:.1} s).{label}\n", took.as_secs_f64());
    if let (Some(people), Some(sandbox)) = (&state.people, &state.sandbox) {
        let shop = entrance.origin(&people.brand_host);
        println!("  storefront   {shop}/");
        println!("  account      {shop}/account");
        println!("               {} / {}", people.customer_email, people.customer_password);
        println!("  staff        {base}/staff");
        println!("               {} / {}", people.staff_email, people.staff_password);
        println!("               authenticator secret {}", people.staff_totp_secret);
        println!("  mails        {}", sandbox.mail_url());
        println!("  API          {base}/api/v1   (openapi.json; Authorization: Bearer {})", people.api_key);
        println!(
            "\n  Panel, payments and mails are a SANDBOX. Cards: 4242 4242 4242 4242 pays, 4000 0000 0000 0002 is declined."
        );
    } else {
        let token = data_dir.join("setup-token");
        println!("  first steps  {base}/staff/setup");
        println!("               the single-use token is in {}", token.display());
    }
    println!("\n  Everything is kept in {}. Ctrl-C stops all of it.\n", data_dir.display());
}

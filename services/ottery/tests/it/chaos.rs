//! Storms pass over payments and leave nothing behind.

use serde_json::Value;
use tokio::process::Command;

use crate::copy::OTTERY;

#[tokio::test(flavor = "multi_thread")]
async fn two_small_storms_over_payments_leave_books_and_providers_of_one_mind() {
    let arguments = ["chaos", "--suite", "payments", "--seeds", "2", "--first-seed", "1", "--payments", "60", "--json"];
    let said = Command::new(OTTERY).args(arguments).output().await.unwrap();
    let (out, errors) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{errors}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["ok"], &last["seeds"], &last["failures"]), (&true.into(), &2.into(), &0.into()));
    let left_out: Vec<&Value> =
        lines.iter().filter_map(|line| line.get("left_out")).filter(|out| out.is_string()).collect();
    assert_eq!(left_out.len(), last["left_out"].as_array().unwrap().len(), "who is left out is named twice: {out}");
    let storms: Vec<&Value> = lines.iter().filter(|line| line.get("payments").is_some()).collect();
    assert_eq!(storms.len(), 2, "{out}");
    for storm in storms {
        assert_eq!(storm["payments"], 60, "{storm}");
        for something in [&storm["restarts"], &storm["renewals"], &storm["taken"], &storm["webhooks"]["refused"]] {
            assert!(something.as_u64().is_some_and(|count| count > 0), "a storm that was none: {storm}");
        }
    }
}

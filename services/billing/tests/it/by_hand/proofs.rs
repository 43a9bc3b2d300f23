//! Files that customers send.

use billing::domain::by_hand::{FILE_BYTES_MAX, FILES_MAX, Standing};
use billing::domain::payment::State;
use ottery_kernel::AccountId;
use ottery_proto::billing::v1::by_hand_told::What;

use super::till::till;

const PDF: &[u8] = b"%PDF-1.7\n%proof";

#[tokio::test]
async fn case_064_a_proof_makes_the_payment_one_that_is_under_way() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    let page = till.world.billing.add_proof(till.world.brand, &wait.token, "Beleg.PDF", PDF).await.expect("kept");
    assert_eq!((page.standing, page.proofs.len()), (Standing::Claimed, 1));
    assert_eq!(page.proofs[0].name, "Beleg.pdf");
    let claimed = till.payment(payment.id).await;
    assert_eq!((claimed.state, claimed.is_processing), (State::Pending, true));
    till.later().await;
    assert!(till.payment(payment.id).await.is_processing, "looks of the workers keep that");
    assert!(till.pay_again(&payment).await.unwrap_err().is("PAYMENT_IN_PROGRESS"));
    till.record(&till.staff("acc_a"), &wait, 1_000, "x").await.expect("recorded");
    assert_eq!(till.page(&wait).await.standing, Standing::Paid);
    let more = till.world.billing.add_proof(till.world.brand, &wait.token, "b", b"\xff\xd8\xff").await.unwrap_err();
    assert!(more.is("BY_HAND_NOT_OPEN"), "{more:?}");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn only_a_few_harmless_files_are_kept_and_each_once() {
    let till = till().await;
    let (_, wait) = till.order(1_000).await;
    let add = async |name: &str, content: &[u8]| {
        till.world.billing.add_proof(till.world.brand, &wait.token, name, content).await
    };
    let mut large = PDF.to_vec();
    large.resize(FILE_BYTES_MAX + 1, b' ');
    for wrong in [&b""[..], b"<html><script>", b"MZ\x90", &large[..]] {
        let problem = add("proof.pdf", wrong).await.unwrap_err();
        assert!(problem.is("PROOF_REFUSED"), "{problem:?}");
        assert_eq!(problem.field.as_deref(), Some("proof"));
    }
    for number in 0..FILES_MAX {
        let content = [PDF, number.to_string().as_bytes()].concat();
        assert_eq!(add("a.pdf", &content).await.expect("kept").proofs.len(), number + 1);
        assert_eq!(add("a.pdf", &content).await.expect("the same again").proofs.len(), number + 1);
    }
    assert!(add("a.pdf", PDF).await.unwrap_err().is("PROOF_REFUSED"));
    assert_eq!(till.page(&wait).await.proofs.len(), FILES_MAX);
}

#[tokio::test]
async fn a_file_is_shown_to_its_owner_and_staff_and_forgotten_in_the_end() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    let page = till.world.billing.add_proof(till.world.brand, &wait.token, "a", PDF).await.expect("kept");
    let id = page.proofs[0].id;
    let read = async |owner: Option<AccountId>| till.world.billing.read_proof(till.world.brand, id, owner).await;
    assert_eq!(read(None).await.expect("staff").1, PDF);
    assert_eq!(read(Some(payment.account)).await.expect("its owner").1, PDF);
    assert!(read(Some(till.world.account())).await.unwrap_err().is("PROOF_NOT_FOUND"));

    sqlx::query("UPDATE errand SET due_at = now(), lease_until = '-infinity' WHERE kind = 'proof'")
        .execute(&till.world.database.admin_pool)
        .await
        .unwrap();
    till.world.billing.work_errands().await.unwrap();
    assert!(read(None).await.unwrap_err().is("PROOF_NOT_FOUND"));
    assert_eq!(till.page(&wait).await.proofs.len(), 0);
}

#[tokio::test]
async fn case_064_a_file_that_is_no_proof_holds_nothing_any_more_and_its_customer_is_told_why() {
    let till = till().await;
    let (payment, wait) = till.order(1_000).await;
    let (billing, brand, clerk) = (&till.world.billing, till.world.brand, till.staff("acc_a"));
    let add = async |content: &[u8]| billing.add_proof(brand, &wait.token, "a.pdf", content).await.expect("kept");
    let one = add(PDF).await.proofs[0].id;
    let two = add(&[PDF, b"2"].concat()).await.proofs[1].id;
    let refuse = async |id, reason: &str| billing.refuse_proof(&clerk, brand, id, reason).await;
    assert_eq!(refuse(one, " ").await.unwrap_err().field.as_deref(), Some("reason"));
    assert!(refuse(uuid::Uuid::nil(), "none").await.unwrap_err().is("PROOF_NOT_FOUND"));

    refuse(one, "Of another shop.").await.expect("refused");
    assert!(till.payment(payment.id).await.is_processing, "the other file may be one");
    refuse(two, "Its amount is another.").await.expect("refused");
    let waiting = till.payment(payment.id).await;
    assert_eq!((waiting.state, waiting.is_processing), (State::Pending, false));
    let page = till.page(&wait).await;
    let reasons: Vec<&str> =
        page.proofs.iter().map(|proof| proof.refused.as_ref().map_or("", |(_, reason)| reason)).collect();
    assert_eq!((page.standing, reasons), (Standing::Waiting, vec!["Of another shop.", "Its amount is another."]));

    // Twice is once, whatever reason is given; and nobody is believed a second time without staff.
    refuse(two, "Something else.").await.expect("the same");
    let again = add(&[PDF, b"3"].concat()).await;
    assert_eq!((again.standing, again.proofs.len()), (Standing::Waiting, 3));
    assert!(!till.payment(payment.id).await.is_processing);
    let told = till.told().await;
    let reasons: Vec<_> = told.iter().map(|told| (told.what(), told.reason.as_str())).collect();
    let refused = What::ProofRefused;
    assert_eq!(reasons, [(refused, "Of another shop."), (refused, "Its amount is another.")]);
    assert_eq!(told[0].due.as_ref().map(|due| due.minor), Some(1_000));

    till.record(&clerk, &wait, 1_000, "x").await.expect("the money came all the same");
    assert_eq!(till.page(&wait).await.standing, Standing::Paid);
    refuse(again.proofs[2].id, "Late.").await.expect("refused");
    assert_eq!(till.told().await.len(), 2, "whoever has paid is asked for nothing");
    till.world.assert_sound().await;
}

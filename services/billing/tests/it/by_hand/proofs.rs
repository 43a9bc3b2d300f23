//! Files that customers send.

use billing::domain::by_hand::{FILE_BYTES_MAX, FILES_MAX, Standing};
use billing::domain::payment::State;
use ottery_kernel::AccountId;

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

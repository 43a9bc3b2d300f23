use ottery_kit::grpc::Problem;
use ottery_proto::identity::v1::mail_requested::Purpose;
use ottery_proto::notification::v1::notification_service_client::NotificationServiceClient;
use ottery_proto::notification::v1::{
    ListTemplatesRequest, PreviewTemplateRequest, PutTemplateRequest, Template, delivery::State,
};
use ottery_testkit::actor;

use crate::world::world;

fn template(subject: &str, text: &str) -> Template {
    Template {
        name: "account.password_changed".into(),
        locale: "en".into(),
        subject: subject.into(),
        body_text: text.into(),
        body_html: "<p>{{ recipient.name }}</p>".into(),
        ..Template::default()
    }
}

#[tokio::test]
async fn a_brands_own_wording_is_checked_kept_and_used() {
    let world = world().await;
    let mut client = world.client(world.brand);
    let put =
        |template: Template, expected_version: u64| PutTemplateRequest { template: Some(template), expected_version };

    let refused = client.put_template(put(template("Hi", "a\n{{ credentials }}"), 0)).await.unwrap_err();
    let problem = Problem::from_status(&refused);
    assert_eq!((problem.reason.as_ref(), problem.field.as_deref()), ("TEMPLATE_INVALID", Some("template.body_text")));
    assert_eq!(problem.metadata["line"], "2");

    let kept =
        client.put_template(put(template("Own words", "Dear {{ recipient.name }}"), 0)).await.unwrap().into_inner();
    assert!(kept.customised && kept.version == 1);
    let stale = client.put_template(put(template("Other", "words"), 0)).await.unwrap_err();
    assert_eq!(Problem::from_status(&stale).reason, "VERSION_CONFLICT");
    let shown = client.preview_template(PreviewTemplateRequest { template: Some(kept) }).await.unwrap().into_inner();
    assert!(shown.body_html.contains("<p>Ada</p>") && shown.body_html.contains("#aa0011"));

    world.request(Purpose::PasswordChanged, "ada@example.org", "en", Some(world.brand)).await;
    world.settled("ada@example.org", State::Sent).await;
    assert_eq!(world.inbox("ada@example.org").await[0]["subject"], "Own words");

    let reset = Template { body_html: String::new(), ..template("", "") };
    let back = client.put_template(put(reset, 1)).await.unwrap().into_inner();
    assert!(!back.customised && back.subject == "Your password was changed");
    let listed = client.list_templates(ListTemplatesRequest {}).await.unwrap().into_inner().templates;
    assert!(listed.len() >= 32 && listed.iter().all(|template| !template.customised));
}

#[tokio::test]
async fn secure_s12_without_the_permission_nothing_is_seen_or_changed() {
    let world = world().await;
    for actor in [actor::customer(world.brand, "acc_1"), actor::staff(world.brand, ["ticket.read"])] {
        let mut client = NotificationServiceClient::new(world.test.channel(notification::NAME, actor));
        let denied = [
            client.list_deliveries(ottery_proto::notification::v1::ListDeliveriesRequest::default()).await.unwrap_err(),
            client.list_templates(ListTemplatesRequest {}).await.unwrap_err(),
            client
                .put_template(PutTemplateRequest { template: Some(template("a", "b")), expected_version: 0 })
                .await
                .unwrap_err(),
        ];
        assert!(denied.iter().all(|status| status.code() == tonic::Code::PermissionDenied));
    }
}

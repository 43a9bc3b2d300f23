//! What the access table and the edge add to every operation's description.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder, Type,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::access::{Rule, Scope, Who, rule};
use crate::problem::ProblemBody;

pub(super) fn complete(mut api: OpenApi) -> OpenApi {
    let description = "JSON in and out. Refusals are `application/problem+json` with a stable `code`. Lists come in pages: ask again with \
        `next_cursor`. People sign in with a cookie and send `Origin`; programs send an API key.";
    api.info = InfoBuilder::new().title("API").version("1").description(Some(description)).build();
    let paths = std::mem::take(&mut api.paths.paths);
    for (path, mut item) in paths {
        for (method, operation) in operations(&mut item) {
            if let Some(rule) = rule(method, &path) {
                describe(operation, rule);
            }
        }
        api.paths.paths.insert(format!("{}{path}", super::BASE), item);
    }
    let components = api.components.get_or_insert_default();
    let mut schemas = Vec::new();
    ProblemBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert(ProblemBody::name().into_owned(), ProblemBody::schema());
    components.security_schemes.insert(
        "session".into(),
        RefOr::T(SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            "__Host-ottery_shop",
            "Set by signing in; staff have `__Host-ottery_staff`.",
        )))),
    );
    components.security_schemes.insert(
        "api_key".into(),
        RefOr::T(SecurityScheme::Http(
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("`otk_…`")).build(),
        )),
    );
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [("GET", &mut item.get), ("POST", &mut item.post), ("PUT", &mut item.put), ("DELETE", &mut item.delete)]
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn describe(operation: &mut Operation, rule: &Rule) {
    let mut notes = vec![match rule.who {
        Who::Anyone | Who::Visitor | Who::Setup => "Open to everybody.".to_owned(),
        Who::Customer => "For customers.".to_owned(),
        Who::Person | Who::Enrolling => "For whoever is signed in.".to_owned(),
        Who::Team => "For staff and API keys.".to_owned(),
        Who::Holder(permission) => format!("Needs the permission `{permission}`."),
        Who::Owner(permission) => format!("Customers see their own; others need the permission `{permission}`."),
    }];
    if rule.is_step_up {
        notes.push("People must have proved who they are within ten minutes (403 `reauth_required`).".to_owned());
    }
    if rule.is_for_people {
        notes.push("Not for API keys (403 `staff_only`).".to_owned());
    }
    let said = operation.description.take().unwrap_or_default();
    operation.description = Some([said, notes.join(" ")].join("\n\n").trim().to_owned());
    let parameters = operation.parameters.get_or_insert_default();
    let text = || ObjectBuilder::new().schema_type(Type::String);
    if rule.is_money {
        parameters.push(
            ParameterBuilder::new()
                .name("Idempotency-Key")
                .parameter_in(ParameterIn::Header)
                .required(Required::True)
                .description(Some("Your name for this attempt; the same one makes it safe to send again."))
                .schema(Some(text().min_length(Some(1)).max_length(Some(255))))
                .build()
                .into(),
        );
    }
    if rule.scope != Scope::Platform && !matches!(rule.who, Who::Anyone | Who::Visitor | Who::Setup | Who::Customer) {
        parameters.push(
            ParameterBuilder::new()
                .name("Ottery-Brand")
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some("The brand to work in (`brd_…`); on a brand's own host it is that brand."))
                .schema(Some(text()))
                .build()
                .into(),
        );
    }
    if parameters.is_empty() {
        operation.parameters = None;
    }
    let open = matches!(rule.who, Who::Anyone | Who::Visitor | Who::Setup);
    if !open {
        let session = SecurityRequirement::new("session", Vec::<String>::new());
        let key = SecurityRequirement::new("api_key", Vec::<String>::new());
        let takes_keys = matches!(rule.who, Who::Team | Who::Holder(_) | Who::Owner(_)) && !rule.is_for_people;
        operation.security = Some(if takes_keys { vec![session, key] } else { vec![session] });
    }
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemBody::name()))).build();
    let refused = ResponseBuilder::new()
        .description("Refused; `code` says why.")
        .content("application/problem+json", problem)
        .header("X-Request-Id", HeaderBuilder::new().schema(Some(text())).build())
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(refused));
}

//! Roles and databases of a service, made by an administrator.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::connect::explain;
use super::{DatabaseError, DatabaseSettings, plain_name};

/// Serialises everything that changes roles or databases on one server; two processes starting together queue here.
const PROVISION_LOCK: i64 = 0x6f74_7465_7279;

/// Creates the roles and the database of `service`, or brings existing ones up to the settings. Safe to repeat and
/// safe when several processes do it at once.
pub async fn provision(settings: &DatabaseSettings, service: &str) -> Result<(), DatabaseError> {
    plain_name(service)?;
    let database = settings.database_name(service);
    let mut admin = admin_connection(settings, None).await?;
    lock(&mut admin).await?;
    let made = match roles(&mut admin, settings, service).await {
        Ok(()) => ensure_database(&mut admin, &database, service).await,
        Err(error) => Err(error),
    };
    // Closing the session gives the lock back, whatever happened.
    admin
        .close()
        .await
        .map_err(|source| DatabaseError::Query { step: "closing the administrator's session", source })?;
    made
}

/// Connects the administrator, to `database` or to the one its URL names.
pub async fn admin_connection(
    settings: &DatabaseSettings,
    database: Option<&str>,
) -> Result<PgConnection, DatabaseError> {
    let mut options = settings.admin_options()?;
    if let Some(database) = database {
        options = options.database(database);
    }
    PgConnection::connect_with(&options).await.map_err(|error| explain(error, &options))
}

/// Creates `database` for a service, optionally as a copy of `template` (which nobody may be connected to).
pub async fn create_database(
    settings: &DatabaseSettings,
    service: &str,
    database: &str,
    template: Option<&str>,
) -> Result<(), DatabaseError> {
    let owner = DatabaseSettings::owner_name(plain_name(service)?);
    let mut statement = format!("CREATE DATABASE \"{}\" OWNER \"{owner}\"", plain_name(database)?);
    if let Some(template) = template {
        statement.push_str(&format!(" TEMPLATE \"{}\"", plain_name(template)?));
    }
    let mut admin = admin_connection(settings, None).await?;
    run(&mut admin, statement, "creating the database").await?;
    admin.close().await.map_err(|source| DatabaseError::Query { step: "closing the administrator's session", source })
}

/// Drops `database`, cutting off whoever still uses it.
pub async fn drop_database(settings: &DatabaseSettings, database: &str) -> Result<(), DatabaseError> {
    let mut admin = admin_connection(settings, None).await?;
    let statement = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", plain_name(database)?);
    run(&mut admin, statement, "dropping the database").await?;
    admin.close().await.map_err(|source| DatabaseError::Query { step: "closing the administrator's session", source })
}

/// Waits for its turn to change roles and databases; the session keeps it until it ends.
pub(super) async fn lock(admin: &mut PgConnection) -> Result<(), DatabaseError> {
    sqlx::query!("SELECT pg_advisory_lock($1)", PROVISION_LOCK)
        .fetch_one(admin)
        .await
        .map(|_| ())
        .map_err(|source| DatabaseError::Query { step: "waiting for other migrations", source })
}

async fn roles(admin: &mut PgConnection, settings: &DatabaseSettings, service: &str) -> Result<(), DatabaseError> {
    let owner = DatabaseSettings::owner_name(service);
    if !role_exists(admin, &owner).await? {
        run(admin, format!("CREATE ROLE \"{owner}\" NOLOGIN NOSUPERUSER NOBYPASSRLS"), "creating the owner role")
            .await?;
        // An administrator that is no superuser has to be a member to act as the owner.
        run(admin, format!("GRANT \"{owner}\" TO CURRENT_USER"), "joining the owner role").await?;
    }
    login_role(admin, settings, service).await
}

/// The role that signs in, with its password and its limits.
pub(super) async fn login_role(
    admin: &mut PgConnection,
    settings: &DatabaseSettings,
    service: &str,
) -> Result<(), DatabaseError> {
    let role = DatabaseSettings::role_name(service);
    if !role_exists(admin, &role).await? {
        run(
            admin,
            format!("CREATE ROLE \"{role}\" LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"),
            "creating the application role",
        )
        .await?;
    }
    if let Some(password) = settings.password_for(service) {
        if password.contains(['\\', '\0']) {
            return Err(DatabaseError::Settings(format!(
                "the database password of `{service}` may not contain a backslash"
            )));
        }
        let quoted = password.replace('\'', "''");
        run(
            admin,
            format!("ALTER ROLE \"{role}\" PASSWORD '{quoted}'"),
            "setting the password of the application role",
        )
        .await?;
    }
    let limits = [
        ("statement_timeout", settings.statement_timeout_ms),
        ("lock_timeout", settings.lock_timeout_ms),
        ("idle_in_transaction_session_timeout", settings.idle_in_transaction_timeout_ms),
        // Work for a client that is gone stops; keepalives find half-open connections.
        ("client_connection_check_interval", 5_000),
        ("tcp_keepalives_idle", 30),
    ];
    for (name, value) in limits {
        run(admin, format!("ALTER ROLE \"{role}\" SET {name} = {value}"), "setting the limits of the application role")
            .await?;
    }
    Ok(())
}

async fn ensure_database(admin: &mut PgConnection, database: &str, service: &str) -> Result<(), DatabaseError> {
    make_database(admin, plain_name(database)?, &DatabaseSettings::owner_name(service)).await?;
    open_database(admin, database, &DatabaseSettings::role_name(service)).await
}

/// Creates the database unless it is there.
pub(super) async fn make_database(admin: &mut PgConnection, database: &str, owner: &str) -> Result<(), DatabaseError> {
    let exists = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1::text) AS "exists!""#,
        database
    )
    .fetch_one(&mut *admin)
    .await
    .map_err(|source| DatabaseError::Query { step: "looking for the database", source })?;
    if !exists {
        run(admin, format!("CREATE DATABASE \"{database}\" OWNER \"{owner}\""), "creating the database").await?;
    }
    Ok(())
}

/// Lets this role connect to the database, and nobody else.
pub(super) async fn open_database(admin: &mut PgConnection, database: &str, role: &str) -> Result<(), DatabaseError> {
    run(admin, format!("REVOKE CONNECT ON DATABASE \"{database}\" FROM PUBLIC"), "closing the database to others")
        .await?;
    run(admin, format!("GRANT CONNECT ON DATABASE \"{database}\" TO \"{role}\""), "opening the database to its service")
        .await
}

async fn role_exists(admin: &mut PgConnection, name: &str) -> Result<bool, DatabaseError> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1::text) AS "exists!""#, name)
        .fetch_one(admin)
        .await
        .map_err(|source| DatabaseError::Query { step: "looking for roles", source })
}

/// Runs statements that only exist at run time: roles and databases cannot be bound as parameters, and neither can the
/// values of `SET`. Names went through [`plain_name`].
pub(super) async fn run(
    connection: &mut PgConnection,
    statement: String,
    step: &'static str,
) -> Result<(), DatabaseError> {
    connection
        .execute(AssertSqlSafe(statement))
        .await
        .map(|_| ())
        .map_err(|source| DatabaseError::Query { step, source })
}

//! F21: two processes with two schedulers each on one database. One process is stopped (SIGSTOP) for longer than its lease,
//! at an instant the test chooses: a trigger makes its statement wait, so it is stopped while it waits for the answer.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::books::{Renewal, assert_no_period_twice, billing, renewals};
use super::process::{holder_of, signal};
use crate::copy::{Copy, Folder, Topology, command, doctor, free_port};
use crate::system::{System, ottery, until};

/// How long a claim lasts here: longer than stopping a process takes, shorter than the database lets a stopped one keep its
/// transaction (15 s).
const SHORT_LEASE_S: u32 = 4;
/// As installed.
const USUAL_LEASE_S: u32 = 60;
/// What waits at these keys goes on when the test lets go of them.
const CLAIM: i64 = 2_101;
const WRITE: i64 = 2_102;
const TRIGGERS: &str = "
    CREATE FUNCTION fault_hold() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint); RETURN NEW; END $$;
    CREATE TRIGGER fault_hold BEFORE UPDATE OF fence ON due FOR EACH ROW EXECUTE FUNCTION fault_hold('2101');
    CREATE TRIGGER fault_hold BEFORE UPDATE ON invoice FOR EACH ROW EXECUTE FUNCTION fault_hold('2102');";

struct Member {
    pid: u32,
    log: PathBuf,
}

impl Member {
    /// What it has logged with these words in the message.
    fn logged(&self, words: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        let lines = text.lines().filter(|line| line.contains(words));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// A cluster whose customers are about to be renewed.
struct Stage {
    folder: Folder,
    copy: Copy,
    system: System,
    books: PgConnection,
    /// Both processes of billing.
    members: Vec<Member>,
}

impl Stage {
    async fn set(name: &str, lease_s: u32) -> Self {
        let (folder, port) = (Folder::new(name), free_port());
        let settings = folder.settings(&format!("[billing.renewals]\nlease_seconds = {lease_s}\n"));
        let mut command = command(Topology::Distributed, &folder.path(), port);
        command.arg("--config").arg(settings);
        let mut copy = Copy::of(command, port).await;
        let mut members = Vec::new();
        for name in ["billing-1", "billing-2"] {
            let log = folder.path().join("logs").join(format!("{name}.log"));
            members.push(Member { pid: copy.pid_of(name).await, log });
        }
        let url = format!("http://127.0.0.1:{port}");
        ottery(&folder.path(), &["demo", "--json", "--purchases", "6", "--url", &url]).await;
        let system = System::of(&folder, port);
        let mut books = billing(&folder.path()).await;
        books.execute(TRIGGERS).await.unwrap();
        Self { folder, copy, system, books, members }
    }

    /// When the last active subscription wants attention.
    async fn next(&mut self) -> DateTime<Utc> {
        sqlx::query_scalar(
            "SELECT max(due_at) FROM due JOIN subscription s ON s.id = due.subscription_id
              WHERE s.state = 'active' AND due_at < 'infinity'",
        )
        .fetch_one(&mut self.books)
        .await
        .unwrap()
    }

    /// Claims that nobody else may take, with their fences.
    async fn claims(&mut self) -> Vec<(Uuid, i64)> {
        sqlx::query_as("SELECT subscription_id, fence FROM due WHERE lease_until > now() ORDER BY subscription_id")
            .fetch_all(&mut self.books)
            .await
            .unwrap()
    }

    /// How many subscriptions are still due by the brand's clock.
    async fn still_due(&mut self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM due JOIN brand_clock clock USING (brand_id) WHERE due_at <= clock.now")
            .fetch_one(&mut self.books)
            .await
            .unwrap()
    }

    /// Moves the clock and stops the process whose scheduler first comes to `key`; then lets everybody pass there. Answers
    /// which one it is, and what it has claimed.
    async fn stop_at(&mut self, key: i64, to: DateTime<Utc>) -> (usize, Vec<(Uuid, i64)>) {
        let mut gate = billing(&self.folder.path()).await;
        sqlx::query("SELECT pg_advisory_lock($1)").bind(key).execute(&mut gate).await.unwrap();
        self.system.begin_advance(to).await;
        let pids: Vec<u32> = self.members.iter().map(|member| member.pid).collect();
        let stopped = until("a scheduler at the gate", async || {
            let (backend, from, port) = waits_at(&mut gate, key).await?;
            let pid = holder_of(from, port, &pids)?;
            signal(pid, "-STOP").await;
            // It may have given up in between (`lock_timeout`); then another one will come.
            if waits_at(&mut gate, key).await.is_some_and(|(still, _, _)| still == backend) {
                return pids.iter().position(|known| *known == pid);
            }
            signal(pid, "-CONT").await;
            None
        })
        .await;
        sqlx::query("SELECT pg_advisory_unlock($1)").bind(key).execute(&mut gate).await.unwrap();
        let claims = until("its claim", async || Some(self.claims().await).filter(|claims| !claims.is_empty())).await;
        (stopped, claims)
    }

    /// The other process renews them while one has slept past its lease; the sleeper's claims hit no row.
    async fn sleeps_between_claim_and_work(&mut self) -> Vec<Renewal> {
        let (before, to) = (renewals(&mut self.books).await, self.next().await);
        let (sleeper, claims) = self.stop_at(CLAIM, to).await;
        until("the others to have done its work", async || (self.still_due().await == 0).then_some(())).await;
        let mut issued = renewals(&mut self.books).await;
        issued.retain(|renewal| !before.contains(renewal));
        let mut of: Vec<Uuid> = issued.iter().map(|renewal| renewal.subscription_id).collect();
        of.sort_unstable();
        assert_eq!(of, claims.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        assert!(issued.len() > 1, "one renewal proves little");

        signal(self.members[sleeper].pid, "-CONT").await;
        let lost = until("the sleeper to come back to its claims", async || {
            self.members[sleeper].logged("had passed to others").pop()
        })
        .await;
        assert_eq!(lost["lost"], claims.len(), "{lost}");
        self.system.until_ready().await;
        let mut after = renewals(&mut self.books).await;
        after.retain(|renewal| !before.contains(renewal));
        assert_eq!(after, issued, "the sleeper changed something");
        issued
    }

    /// One sleeps inside its transaction. When it wakes up, its last write meets other fences, and all of it is undone.
    async fn sleeps_inside_the_transaction(&mut self, issued: &[Renewal]) {
        let (charges, count) = (self.system.charges().await, renewals(&mut self.books).await.len());
        let to = issued.iter().map(|renewal| renewal.period_start).max().unwrap();
        let (sleeper, claims) = self.stop_at(WRITE, to + TimeDelta::minutes(5)).await;
        until("somebody to take its claims over", async || {
            let now = self.claims().await;
            let is_taken =
                claims.iter().all(|(id, fence)| now.iter().any(|(other, newer)| other == id && newer > fence));
            is_taken.then_some(())
        })
        .await;
        signal(self.members[sleeper].pid, "-CONT").await;
        let words =
            format!("{0} of {0} claims were taken over by another scheduler; nothing was written", claims.len());
        until("the sleeper to try to write", async || self.members[sleeper].logged(&words).pop()).await;
        self.system.until_ready().await;

        let after = renewals(&mut self.books).await;
        for renewal in issued {
            let now = after.iter().find(|now| now.id == renewal.id).unwrap();
            assert_eq!((now.state.as_str(), now.charges_made), ("closed", 1), "{now:?}");
        }
        assert_eq!(after.len(), count);
        assert_eq!(self.system.charges().await - charges, i64::try_from(issued.len()).unwrap(), "a charge each");
    }

    async fn strike(mut self) {
        self.books
            .execute("DROP TRIGGER fault_hold ON due; DROP TRIGGER fault_hold ON invoice; DROP FUNCTION fault_hold")
            .await
            .unwrap();
        assert_no_period_twice(&mut self.books).await;
        doctor(&self.folder.path()).await;
        let (status, _) = self.copy.end("-TERM").await;
        assert!(status.success(), "{status}");
    }
}

/// The backend that waits at the key, the port of its client, and the server's.
async fn waits_at(books: &mut PgConnection, key: i64) -> Option<(i32, u16, u16)> {
    let found: Option<(i32, i32, i32)> = sqlx::query_as(
        "SELECT pid, client_port, inet_server_port() FROM pg_locks JOIN pg_stat_activity USING (pid)
          WHERE locktype = 'advisory' AND objid::bigint = $1 AND NOT granted ORDER BY waitstart LIMIT 1",
    )
    .bind(key)
    .fetch_optional(books)
    .await
    .unwrap();
    let (backend, from, to) = found?;
    Some((backend, u16::try_from(from).unwrap(), u16::try_from(to).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f21_of_four_schedulers_in_two_processes_a_stopped_one_is_fenced_off_over_rabbitmq() {
    let mut stage = Stage::set("fault-f21", SHORT_LEASE_S).await;
    let issued = stage.sleeps_between_claim_and_work().await;
    stage.sleeps_inside_the_transaction(&issued).await;
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: waits for a lease as long as installed"]
async fn fault_f21_a_scheduler_stopped_for_the_usual_minute_is_fenced_off_over_rabbitmq() {
    let mut stage = Stage::set("fault-f21-minute", USUAL_LEASE_S).await;
    stage.sleeps_between_claim_and_work().await;
    stage.strike().await;
}

//! Brands that have something due, found brand by brand.

/// Ids of the brands that have a row due in this table, the longest waiting first. Arguments: the pool, the time of brands without a
/// test clock, how many brands at most.
///
/// The table has `brand_id`, `due_at` and an index by both. Each brand is one step in that index and its first row another, so that
/// looking costs the same however many rows wait for their day.
macro_rules! due_brands {
    ($table:literal, $pool:expr, $now:expr, $limit:expr $(,)?) => {
        sqlx::query_scalar!(
            "WITH RECURSIVE brand (id) AS (
                 (SELECT brand_id FROM "
                + $table
                + " ORDER BY brand_id LIMIT 1)
                 UNION ALL
                 SELECT (SELECT due.brand_id FROM "
                + $table
                + " due WHERE due.brand_id > brand.id ORDER BY due.brand_id LIMIT 1)
                   FROM brand WHERE brand.id IS NOT NULL
             )
             SELECT brand.id AS \"id!\" FROM brand LEFT JOIN brand_clock clock ON clock.brand_id = brand.id
              CROSS JOIN LATERAL (SELECT due.due_at FROM "
                + $table
                + " due
                                   WHERE due.brand_id = brand.id AND due.due_at <= coalesce(clock.now, $1)
                                   ORDER BY due.due_at LIMIT 1) waits
              ORDER BY waits.due_at LIMIT $2",
            $now,
            $limit
        )
        .fetch_all($pool)
    };
}

pub(super) use due_brands;

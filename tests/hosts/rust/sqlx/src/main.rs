//! sqlx with a pool of four connections and sixteen tasks of tokio.
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use std::{env, time::Duration};

#[tokio::main]
async fn main() -> Result<(), sqlx::Error> {
    let path = env::var("DATABASE").unwrap();
    let walmanager = env::var("WALMANAGER").unwrap();
    // [snippet]
    let options = SqliteConnectOptions::new().filename(path);
    let options = unsafe { options.extension(walmanager) };
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options.busy_timeout(Duration::from_secs(20))).await?;
    // [end]
    let tasks: Vec<_> = (0..16)
        .map(|which: i64| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for n in 0..50 {
                    let insert = sqlx::query("INSERT INTO orders(note, total) VALUES (?, ?)");
                    insert.bind(format!("task {which}")).bind(n).execute(&pool).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut held = Vec::new();
    let mut hooks = Vec::new();
    let mut version = String::new();
    for _ in 0..4 {
        let mut connection = pool.acquire().await?;
        let row: (String, String) = sqlx::query_as("SELECT hook, sqlite_version() FROM wal_metrics").fetch_one(&mut *connection).await?;
        hooks.push(format!("{:?}", row.0));
        version = row.1;
        held.push(connection);
    }
    drop(held);
    pool.close().await;
    println!("{{\"sqlite\": \"{version}\", \"hooks\": [{}]}}", hooks.join(", "));
    Ok(())
}

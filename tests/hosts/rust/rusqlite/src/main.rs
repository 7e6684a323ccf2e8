//! rusqlite in eight threads, each with a connection of its own.
use rusqlite::Connection;
use std::{env, thread, time::Duration};

fn open(path: &str, walmanager: &str) -> rusqlite::Result<Connection> {
    // [snippet]
    let db = Connection::open(path)?;
    unsafe {
        let _guard = rusqlite::LoadExtensionGuard::new(&db)?;
        db.load_extension(walmanager, None::<&str>)?;
    }
    // [end]
    db.busy_timeout(Duration::from_secs(20))?;
    Ok(db)
}

fn work(which: i64) -> rusqlite::Result<String> {
    let db = open(&env::var("DATABASE").unwrap(), &env::var("WALMANAGER").unwrap())?;
    for n in 0..75 {
        db.execute("INSERT INTO orders(note, total) VALUES (?1, ?2)", (format!("thread {which}"), n))?;
    }
    db.query_row("SELECT hook FROM wal_metrics", [], |row| row.get(0))
}

fn main() {
    let threads: Vec<_> = (0..8).map(|which| thread::spawn(move || work(which).unwrap())).collect();
    let hooks: Vec<String> = threads.into_iter().map(|thread| format!("{:?}", thread.join().unwrap())).collect();
    println!("{{\"sqlite\": \"{}\", \"hooks\": [{}]}}", rusqlite::version(), hooks.join(", "));
}

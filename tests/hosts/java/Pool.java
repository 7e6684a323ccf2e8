// Java's JDBC driver of xerial with HikariCP: eight threads take connections of its pool, and eight connections are asked for their hook.
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.ResultSet;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

public class Pool {
  static final String PATH = System.getenv("DATABASE") + "?busy_timeout=20000";
  static final String WALMANAGER = System.getenv("WALMANAGER");

  static HikariDataSource open() {
    // [snippet]
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl("jdbc:sqlite:" + PATH);
    config.addDataSourceProperty("enable_load_extension", "true");
    config.setConnectionInitSql("SELECT load_extension('" + WALMANAGER + "')");
    HikariDataSource pool = new HikariDataSource(config);
    // [end]
    return pool;
  }

  static Void work(HikariDataSource pool, int which) throws Exception {
    for (int n = 0; n < 75; n++) {
      try (var connection = pool.getConnection();
          var insert = connection.prepareStatement("INSERT INTO orders(note, total) VALUES (?, ?)")) {
        insert.setString(1, "thread " + which);
        insert.setInt(2, n);
        insert.executeUpdate();
      }
    }
    return null;
  }

  public static void main(String[] arguments) throws Exception {
    HikariDataSource pool = open();
    // The process ends with the main thread, also if that fails.
    ExecutorService threads = Executors.newFixedThreadPool(8, (job) -> {
      Thread thread = new Thread(job);
      thread.setDaemon(true);
      return thread;
    });
    List<Future<Void>> jobs = new ArrayList<>();
    for (int which = 0; which < 8; which++) {
      int number = which;
      jobs.add(threads.submit(() -> work(pool, number)));
    }
    for (Future<Void> job : jobs) job.get();
    threads.shutdown();
    List<Connection> held = new ArrayList<>();
    List<String> hooks = new ArrayList<>();
    String sqlite = "";
    for (int n = 0; n < 8; n++) {
      Connection connection = pool.getConnection();
      try (var statement = connection.createStatement();
          ResultSet row = statement.executeQuery("SELECT hook, sqlite_version() FROM wal_metrics")) {
        row.next();
        hooks.add('"' + row.getString(1) + '"');
        sqlite = row.getString(2);
      }
      held.add(connection);
    }
    for (Connection connection : held) connection.close();
    if (System.getenv("HOST_LEAVES_OPEN") == null) pool.close();
    System.out.println("{\"sqlite\": \"" + sqlite + "\", \"hooks\": " + hooks + "}");
    if (System.getenv("HOST_LEAVES_OPEN") != null) System.exit(0);
  }
}

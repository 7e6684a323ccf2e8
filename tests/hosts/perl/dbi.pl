# DBI with DBD::SQLite: a callback loads the extension into each connection, also in processes that were forked.
use strict;
use warnings;
use DBI;
my $path = $ENV{DATABASE};
my $walmanager = $ENV{WALMANAGER};

# [snippet]
my %options = (RaiseError => 1, AutoInactiveDestroy => 1, Callbacks => { connected => sub {
  my ($db) = @_;
  $db->sqlite_enable_load_extension(1);
  $db->sqlite_load_extension($walmanager);
  return;
} });
my $db = DBI->connect("dbi:SQLite:dbname=$path", "", "", \%options);
# [end]

$db->do("INSERT INTO orders(note, total) VALUES ('before the fork', 1)");
my @children;
for my $which (1 .. 4) {
  my $child = fork();
  if (!$child) {
    my $own = DBI->connect("dbi:SQLite:dbname=$path", "", "", \%options);
    $own->sqlite_busy_timeout(20000);
    my $insert = $own->prepare("INSERT INTO orders(note, total) VALUES ('Perl', ?)");
    $insert->execute($_) for 1 .. 150;
    my ($hook) = $own->selectrow_array("SELECT hook FROM wal_metrics");
    $insert->finish();
    undef $insert;
    $own->disconnect();
    exit($hook eq "active" ? 0 : 1);
  }
  push @children, $child;
}
my @hooks;
for my $child (@children) {
  waitpid($child, 0);
  push @hooks, $? == 0 ? '"active"' : "\"status $?\"";
}
$db->do("INSERT INTO orders(note, total) VALUES ('after the fork', 1)");
my ($hook) = $db->selectrow_array("SELECT hook FROM wal_metrics");
my $hooks = join(", ", @hooks, "\"$hook\"");
my $sqlite = $db->{sqlite_version};
$db->disconnect();
print "{\"version\": \"$DBD::SQLite::VERSION\", \"sqlite\": \"$sqlite\", \"hooks\": [$hooks]}\n";

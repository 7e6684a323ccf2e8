# Sequel with its pool: eight threads share four connections, and each connection is asked for its hook.
require 'sequel'
require 'json'
WALMANAGER = ENV['WALMANAGER'].delete_suffix('.so')
options = { adapter: 'sqlite', database: ENV['DATABASE'], timeout: 20_000, max_connections: 4, pool_timeout: 60 }

# [snippet]
load_walmanager = proc do |connection|
  connection.enable_load_extension(1)
  connection.load_extension(WALMANAGER)
end
DB = Sequel.connect(after_connect: load_walmanager, **options)
# [end]

threads = Array.new(8) do |which|
  Thread.new do
    Array.new(75) do |n|
      DB[:orders].insert(note: "thread #{which}", total: n)
      DB.get(Sequel.lit('hook FROM wal_metrics'))
    end.uniq
  end
end
hooks = threads.flat_map(&:value)
puts JSON.generate(version: Sequel.version, sqlite: DB.get(Sequel.lit('sqlite_version()')), hooks: hooks)
DB.disconnect

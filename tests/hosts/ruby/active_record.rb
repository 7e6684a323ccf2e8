# ActiveRecord with its pool: eight threads share four connections, and each connection is asked for its hook.
require 'active_record'
require 'json'
WALMANAGER = ENV['WALMANAGER'].delete_suffix('.so')

# [snippet]
ActiveSupport.on_load(:active_record_sqlite3adapter) do
  prepend(Module.new do
    def configure_connection
      super
      database = @raw_connection || @connection # since Rails 7.1, before
      database.enable_load_extension(1)
      database.load_extension(WALMANAGER)
    end
  end)
end
# [end]

# The gem's busy_timeout waits with Ruby's lock held, and then the thread that has the transaction cannot end it: this waits without the lock.
ActiveSupport.on_load(:active_record_sqlite3adapter) do
  prepend(Module.new do
    def configure_connection
      super
      (@raw_connection || @connection).busy_handler do |count|
        sleep 0.001
        count < 20_000
      end
    end
  end)
end

ActiveRecord::Base.establish_connection(adapter: 'sqlite3', database: ENV['DATABASE'], pool: 4, checkout_timeout: 60)

class Order < ActiveRecord::Base
end

def hook
  ActiveRecord::Base.connection.select_value('SELECT hook FROM wal_metrics')
end

return unless $PROGRAM_NAME == __FILE__

threads = Array.new(8) do |which|
  Thread.new do
    Array.new(75) do |n|
      ActiveRecord::Base.connection_pool.with_connection do
        Order.create!(note: "thread #{which}", total: n)
        hook
      end
    end.uniq
  end
end
hooks = threads.flat_map(&:value)
sqlite = ActiveRecord::Base.connection.select_value('SELECT sqlite_version()')
puts JSON.generate(version: ActiveRecord.version.to_s, sqlite: sqlite, hooks: hooks)
ActiveRecord::Base.connection_pool.disconnect!

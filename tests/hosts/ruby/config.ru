# A Rack application over ActiveRecord for puma's cluster: preloaded, and with the database used before the fork.
require_relative 'active_record'
Order.count

run(lambda do |env|
  Order.create!(note: 'from a page', total: 1)
  answer = { pid: Process.pid, hook: hook, sqlite: Order.connection.select_value('SELECT sqlite_version()'), version: Puma::Const::VERSION }
  ActiveRecord::Base.clear_active_connections! # as Rails does after each request
  [200, { 'content-type' => 'application/json' }, [JSON.generate(answer)]]
end)

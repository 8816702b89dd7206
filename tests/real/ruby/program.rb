# Classes, blocks, exceptions, fibers, a library of its own, files, big numbers, deep calls.
require 'json'
require 'set'

class Version
  include Comparable
  attr_reader :number

  def initialize(number) = @number = number
  def <=>(other) = number <=> other.number
  def to_s = "v#{@number}"
end

def fib(n) = n < 2 ? n : fib(n - 1) + fib(n - 2)
def deep(n) = n == 0 ? 0 : 1 + deep(n - 1)

puts fib(16)
puts (1..60).map { |i| Version.new((i * 7919) % 61) }.sort.first(8).join(' ')
begin
  raise ArgumentError, 'refused'
rescue => e
  puts "#{e.class}: #{e.message}"
ensure
  puts 'ensured'
end
powers = Enumerator.new { |y| x = 1; loop { y << x; x *= 3 } }
p powers.lazy.select { |x| x % 4 == 1 }.map { |x| x + 1 }.first(10)
fiber = Fiber.new { 3.times { |i| Fiber.yield i }; :done }
4.times { p fiber.resume }
p JSON.parse('{"a": [1, 2, {"b": null}], "c": "\u00e9"}'), JSON.generate({x: 1, y: [1.5, nil, true]})
File.write('lines.txt', (1..50).map { |i| "line #{i}" }.join("\n"))
File.foreach('lines.txt').with_index { |line, i| puts "#{i} #{line}" if i % 10 == 0 }
p 2**300, 100.downto(1).inject(:*), deep(500)
p 'Hello World foo'.scan(/o(.)?/), 'abcabc'.gsub(/[ac]/) { |m| m.upcase }
catch(:out) { 10.times { |i| throw :out if i == 5; print i } }
puts
counts = Hash.new(0)
5_000.times { |i| counts["key #{i * 7 % 1000}"] += i }
p counts.size, counts.values.sum, Set.new(counts.keys.map(&:length)).sort
GC.start
p ObjectSpace.each_object(Version).count.positive?
exit 3

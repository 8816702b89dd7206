// What scripts do: calls and closures, objects and classes, arrays, strings,
// regular expressions, maps, JSON, generators, exceptions.
"use strict";

function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

class Vector {
  constructor(x, y) { this.x = x; this.y = y; }
  add(other) { return new Vector(this.x + other.x, this.y + other.y); }
  get length() { return Math.hypot(this.x, this.y); }
}

function vectors(count) {
  let sum = new Vector(0, 0);
  for (let i = 0; i < count; i++) sum = sum.add(new Vector(i, -i / 2));
  return Math.floor(sum.length);
}

function words(count) {
  const seen = new Map();
  for (let i = 0; i < count; i++)
    for (const word of `the quick ${i % 13} brown fox ${(i * 7919).toString(16)}`.split(" "))
      seen.set(word, (seen.get(word) ?? 0) + 1);
  return [...seen].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 5).flat().join(",");
}

function json(count) {
  const list = [];
  for (let i = 0; i < count; i++) list.push({ id: i, tags: ["a", "b" + i % 3], nested: { deep: [i, i * 1.5, null] } });
  const again = JSON.parse(JSON.stringify(list));
  return again.filter((item) => item.tags[1] === "b1").reduce((sum, item) => sum + item.nested.deep[1], 0);
}

function* primes(limit) {
  const composite = new Uint8Array(limit);
  for (let i = 2; i < limit; i++) {
    if (composite[i]) continue;
    yield i;
    for (let j = i * i; j < limit; j += i) composite[j] = 1;
  }
}

function expressions(count) {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const match = /(\d+)-(\w+)@([a-z]+)\.(com|org)/.exec(`to ${i}-name_${i}@example${i % 2 ? ".com" : ".net"} now`);
    sum += match ? match[1].length + match[2].length : 1;
    try { if (i % 10 === 0) throw new Error(String(i)); } catch (error) { sum += error.message.length; }
  }
  return sum;
}

[fib(15 + scale), vectors(3000 * scale), words(400 * scale), json(200 * scale),
  [...primes(4000 * scale)].length, expressions(500 * scale)].join(" ");

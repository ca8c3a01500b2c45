// SPDX-License-Identifier: Apache-2.0
import PulseText
import Testing

@testable import PulseTopics

private let received: Int64 = 1_700_000_000_123_456_789

private final class Collector: FeedTaker {
  var lines: [String] = []

  func take(_ output: FeedOutput) {
    lines.append([text(output.topic), text(output.key), "\(output.exchangeTime)", text(output.payload)].joined(separator: " "))
    if output.order >= 0 { lines[lines.count - 1] += " \(output.order)" }
  }
}

/// What the map makes of a message: "topic key time payload" each.
private func made(_ map: String, _ message: String) -> [String] {
  var problem: Sentence = ""
  guard let map = FeedMap.parse(Array(map), &problem) else { return ["no map"] }
  let collector = Collector()
  let isMatched = Array(message).withUnsafeBytes { map.apply($0, receivedAt: received, collector) }
  if !isMatched { collector.lines.append("unmatched") }
  if map.incomplete > 0 { collector.lines.append("incomplete \(map.incomplete)") }
  return collector.lines
}

private func problem(_ map: String) -> String? {
  var problem: Sentence = ""
  return FeedMap.parse(Array(map), &problem) == nil ? text(problem.bytes) : nil
}

@Suite struct FeedMapTests {
  private func one(_ expression: String, _ message: String) -> String? {
    let result = made("rule=a\ntopic=t\npublish=[${\(expression)}]", message)
    return result.count == 1 && result[0].hasPrefix("t  0 [") ? String(result[0].dropFirst(6).dropLast()) : nil
  }

  @Test(arguments: [
    ("a", "1", "1"), ("a", #""x\"y""#, #""x\"y""#), ("a", #"{"b":[1, 2]}"#, #"{"b":[1, 2]}"#), ("a|lower", #""BtC-É""#, #""btc-É""#),
    ("a|upper", #""btc""#, #""BTC""#), ("a|strip(USDT,USDC)", #""SOLUSDC""#, #""SOL""#), ("a|strip(USDT)", #""USDT""#, #""USDT""#),
    ("a|strip(D)|strip(S)", #""USD""#, #""U""#), ("a|drop(candle)", #""candle1m""#, #""1m""#), ("a|drop(x)", #""x""#, #""x""#),
    ("a|part(.,1)", #""kline.5.BTC""#, #""5""#), ("a|part(.,2)", #""kline.5.""#, #""""#), ("a|map(B=buy,S=sell)", #""S""#, #""sell""#),
    ("a|map(60=1h)", "60", #""1h""#), ("a|map(60=1h)", "5", #""5""#), ("a|map(x=)", #""x""#, #""""#), ("a|is(1)", #""1""#, "true"),
    ("a|is(1)", "0", "false"), ("a|decimal", "9.669E-05", #""0.00009669""#), ("a|decimal", #""1.50""#, #""1.50""#),
    ("a|ms", "1700000000123", "1700000000123"), ("a|s", #""1700000000""#, "1700000000000"), ("a|s", "1700000000.25", "1700000000250"),
    ("a|us", "1700000000123456", "1700000000123"), ("a|ns|s", "1700000000123456789", "1700000000"),
    ("a|rfc3339", #""2026-01-31T23:59:59.123Z""#, "1769903999123"),
    ("a|ms|rfc3339", "1769903999123", #""2026-01-31T23:59:59.123Z""#), ("received", "0", "1700000000123"),
    ("received|ns", "0", "1700000000123456789"), ("a|lower", "true", #""true""#), ("mid(a,a)", "1.5", #""1.5""#),
  ])
  func functions(_ expression: String, _ value: String, _ expected: String) {
    #expect(one(expression, "{\"a\":\(value)}") == expected)
  }

  @Test(arguments: [
    ("b", "1"), ("a.b", "1"), ("a|lower", "{}"), ("a|part(.,3)", #""a.b.c""#), ("a|decimal", #""x""#), ("a|decimal", "null"),
    ("a|ms", "-1"),
    ("a|ms", "1e5"), ("a|ms", #""""#), ("a|s", "99999999999"), ("a|rfc3339", #""today""#), ("mid(a,b)", "1"), ("mid(a,a)", "0"),
    ("mid(a,a)", #""0.00""#),
  ])
  func whatIsMissingIsCounted(_ expression: String, _ value: String) {
    #expect(made("rule=a\ntopic=t\npublish=[${\(expression)}]", "{\"a\":\(value)}") == ["incomplete 1"])
  }

  @Test func rulesAndElements() {
    let map = """
      # two rules for one message, and one that only knows
      rule=price
      match={"channel":"ticker"}
      each=events
      each=rows
      where={"k":"a"}
      where={"k":"b"}
      topic=p.${s}
      key=${s}/${$.n}
      time=${$.t|ms}
      publish={"s":${s},"n":${$.n}}

      rule=all
      match={"channel":"ticker"}
      topic=all
      publish=${events[0].rows}
      rule=known
      match={"channel":"hello"}
      """
    #expect(
      made(
        map,
        #"{"channel":"ticker","n":"x","t":5,"events":[{"rows":[{"k":"a","s":"S"},{"k":"c","s":"no"}]},{},{"rows":[{"k":"b","s":"T"}]}]}"#)
        == [
          #"p.S S/x 5000000 {"s":"S","n":"x"}"#, #"p.T T/x 5000000 {"s":"T","n":"x"}"#,
          #"all  0 [{"k":"a","s":"S"},{"k":"c","s":"no"}]"#,
        ])
    #expect(made(map, #"{"channel":"hello"}"#) == [])
    #expect(made(map, #"{"channel":"other"}"#) == ["unmatched"])
    for bad in ["", "{", "null", "[]", #"{"channel":"ticker""#, "ticker", "\u{0}"] { #expect(made(map, bad) == ["unmatched"]) }
    #expect(made("rule=a\neach=$\nwhere={\"T\":\"q\"}", #"[{"T":"q"}]"#) == [])
    #expect(made("rule=a\neach=$\nwhere={\"T\":\"q\"}", #"[{"T":"t"}]"#) == ["unmatched"])
    #expect(made("rule=a\neach=x\ntopic=t\npublish=1", #"{"x":{}}"#) == ["unmatched"])
    #expect(made("rule=a\neach=x\ntopic=t${[1]}\npublish=${[0]}", #"{"x":[["a",1],["b",2]]}"#) == [#"t1  0 "a""#, #"t2  0 "b""#])
    #expect(made("rule=a\neach=x\ntopic=t${[1]}\npublish=${[0]}", #"{"x":[["a",1],["b",2"#) == ["unmatched"])
  }

  @Test(arguments: [
    ("", "a map has at least one rule="), ("x", "line 1: there is no = in it"),
    ("topic=a", "line 1: rule= comes first, or instead= and a name"),
    ("instead=\nrule=a", "line 1: rule= comes first, or instead= and a name"),
    ("rule=a\ninstead=b", "line 2: \"instead\" is none of rule, match, each, where, topic, key, time, order and publish"),
    ("rule=a\n\nfoo=b", "line 3: \"foo\" is none of rule, match, each, where, topic, key, time, order and publish"),
    ("rule=a\ntopic=b", "a rule with topic=, key=, time= or order= needs publish="),
    ("rule=a\npublish=1", "a rule with publish= needs topic="),
    ("rule=a\ntopic=t\npublish={\"a\":\"${b}\"}", "what a rule publishes is JSON, with expressions in the place of values"),
    ("rule=a\ntopic=t\npublish=", "what a rule publishes is JSON, with expressions in the place of values"),
    ("rule=a\ntopic=${x", "line 2: there is no } for a ${"),
    ("rule=a\ntopic=${}", "line 2: \"\" is no path, or one more than the 32 of a rule"),
    ("rule=a\ntopic=${a|nothing}", "line 2: \"nothing\" is no function with such arguments"),
    ("rule=a\ntopic=${a|strip}", "line 2: \"strip\" is no function with such arguments"),
    ("rule=a\ntopic=${a|part(.,x)}", "line 2: \"part(.,x)\" is no function with such arguments"),
    ("rule=a\ntopic=${a|map(x)}", "line 2: \"map(x)\" is no function with such arguments"),
    ("rule=a\ntopic=${a|lower(x)}", "line 2: \"lower(x)\" is no function with such arguments"),
    ("rule=a\ntopic=t\ntopic=u", "line 3: the rule has such a line"),
    ("rule=a\nmatch={", "line 2: the pattern is not valid JSON at byte 2"),
    ("rule=a\ntopic=t\neach=x", "line 3: each= comes before topic, key, time, order and publish"),
    ("rule=a\ntopic=${a|lower()}", "line 2: \"lower()\" is no function with such arguments"),
    ("rule=a\ntopic=${a|strip(a,,b)}", "line 2: \"strip(a,,b)\" is no function with such arguments"),
    ("rule=a\ntopic=${a|is()}", "line 2: \"is()\" is no function with such arguments"),
    ("rule=a\ntopic=${a|part(ab,1)}", "line 2: \"part(ab,1)\" is no function with such arguments"),
    ("rule=a\ntopic=${mid(a)}", "line 2: \"mid(a)\" is no path, or one more than the 32 of a rule"),
    ("rule=a\ntopic=${x}\neach=x", "line 3: each= comes before topic, key, time, order and publish"),
    ("rule=a\neach=a\neach=a\neach=a\neach=a", "line 5: each= nests at most 3 times"),
    ("rule=a\nwhere={\"a\":1}\ntopic=t\npublish=1", "where= is for what each= finds"),
    ("rule=a\ntopic=t\npublish=1\ntime=x${a|ms}", "time= is one expression, such as ${data.E|ms}"),
    ("rule=a\ntopic=t\npublish=1\ntime=${a|ms}${b|ms}", "time= is one expression, such as ${data.E|ms}"),
    ("rule=a\ntopic=t\npublish=1\ntime=5", "time= is one expression, such as ${data.E|ms}"),
  ])
  func whatIsWrongIsSaid(_ map: String, _ expected: String) { #expect(problem(map) == expected) }

  @Test(arguments: [
    ("7", "14"), ("07 ", "14"), ("7 true", "15"), ("7 false", "14"), ("7true", "14"), ("0", "0"),
    ("288230376151711743 true", "576460752303423487"), ("288230376151711744 true", "576460752303423489"),
  ])
  func ordersAreRead(_ text: String, _ expected: String) {
    #expect(made("rule=a\ntopic=t\norder=${a}\npublish=1", "{\"a\":\"\(text)\"}") == ["t  0 1 \(expected)"])
  }

  @Test(arguments: ["", "x", " 7", "-7", "9223372036854775807", "99999999999999999999999"])
  func whatIsNoOrderIsCounted(_ text: String) {
    #expect(made("rule=a\ntopic=t\norder=${a}\npublish=1", "{\"a\":\"\(text)\"}") == ["incomplete 1"])
  }

  @Test func isBounded() {
    #expect(problem(String(repeating: "#\n", count: 40_000)) == "a map has at most 65536 bytes")
    #expect(problem(String(repeating: "rule=a\n", count: 65)) == "line 65: a map has at most 64 rules")
    let paths = (0...32).map { "${p\($0)}" }.joined()
    #expect(problem("rule=a\ntopic=" + paths) == "line 2: \"p32\" is no path, or one more than the 32 of a rule")
    let thirtyTwo = (0..<32).map { "${p\($0)}" }.joined(separator: ",")
    let message = "{" + (0..<32).map { "\"p\($0)\":\($0)" }.joined(separator: ",") + "}"
    let numbers = (0..<32).map { "\($0)" }.joined(separator: ",")
    #expect(made("rule=a\ntopic=t${p0}${p0}\npublish=[\(thirtyTwo)]", message) == ["t00  0 [\(numbers)]"])
  }

  /// Whatever comes, what is published is JSON.
  @Test func nothingBadIsPublished() {
    let map = "rule=a\ntopic=t\npublish={\"a\":${a},\"b\":${b|lower}}"
    var dice = Dice(3)
    let bits = ["{\"a\":", "1", "01", "\"x\"", "\"\\u00", ",\"b\":", "[", "]", "}", "null", "tru", " ", "\"\\\"\"", ",", "\"b\":\"Q\""]
    for _ in 0..<20_000 {
      let message = (0..<dice.roll(8)).map { _ in bits[dice.roll(bits.count)] }.joined()
      for line in made(map, message) where line.hasPrefix("t  0 ") {
        #expect(!object(Array(String(line.dropFirst(5)))).isEmpty, "\(message) gave \(line)")
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
import PulseProcess
import Testing

@testable import PulseClient

@Suite struct OptionTests {
  @Test(
    arguments: [
      ("1", 1_000_000_000), ("0.5", 500_000_000), ("30s", 30_000_000_000), ("250ms", 250_000_000), ("1.5ms", 1_500_000),
      ("10us", 10_000), ("7ns", 7), ("2m", 120_000_000_000), ("1h", 3_600_000_000_000), ("1e-05", 10_000), ("1e3", 1_000_000_000_000),
      ("0", 0), ("0.000000001", 1), ("1 s", 1_000_000_000), ("2.5E-1", 250_000_000),
    ] as [(String, Int64)])
  func durations(text: String, nanoseconds: Int64) { #expect(OptionValue.duration(text) == nanoseconds) }

  @Test(arguments: [
    "", "s", "-1", "1x", "1..5", "1 2", "nan", "inf", "1e", "1e99999", "99999999999999999999", "0x10", "1s1", "+1", "1_000",
  ])
  func notDurations(text: String) { #expect(OptionValue.duration(text) == nil) }

  @Test(
    arguments: [
      ("0", 0), ("4096", 4096), ("16MiB", 16 << 20), ("1.5KiB", 1536), ("1kb", 1000), ("2 GB", 2_000_000_000), ("7B", 7),
    ] as [(String, Int64)])
  func sizes(text: String, bytes: Int64) { #expect(OptionValue.size(text) == bytes) }

  @Test(arguments: ["", "1.5", "-1", "1TiB", "MiB", "9999999999999GiB", "1.2B"])
  func notSizes(text: String) { #expect(OptionValue.size(text) == nil) }

  @Test(arguments: ["true", "1", "yes", "ON", "True"])
  func trueWords(text: String) { #expect(OptionValue.boolean(text) == true) }

  @Test(arguments: ["", "2", "truee", "y"])
  func notBooleans(text: String) { #expect(OptionValue.boolean(text) == nil) }

  @Test func theTableIsWholeAndItsDefaultsAreAllowed() {
    var index = 0
    var options = ClientOptions()
    while let entry = OptionTable.entry(index) {
      index += 1
      let name = PulseProcess.text(entry.name)
      let value = PulseProcess.text(entry.defaultValue)
      if value.isEmpty { continue }
      #expect(options.set(name, value) == nil, "\(name)")
    }
    #expect(index == OptionTable.count && index > 80)
  }

  @Test(arguments: ["stale_action", "message_queue_policy", "receive_queue_policy", "tls_min_version"])
  func onlyWholeWordsAreChoices(name: String) throws {
    let key = try #require(OptionTable.find(name))
    let first = PulseProcess.text(key.defaultValue)
    #expect(key.place(of: first) == 0)
    for wrong in ["", " ", first + " ", String(first.dropLast()), first + "x", first.uppercased() + "_", "a b"] {
      #expect(key.place(of: wrong) == nil, "\(wrong)")
    }
  }

  @Test func defaultsOfTheTableAreThoseOfTheCode() {
    var set = ClientOptions()
    var index = 0
    while let entry = OptionTable.entry(index) {
      index += 1
      if !entry.defaultValue.isEmpty {
        _ = set.set(PulseProcess.text(entry.name), PulseProcess.text(entry.defaultValue))
      }
    }
    expectSameDefaults(set, ClientOptions())
  }

  @Test(arguments: [
    ("heartbeat_intervall", "30s", "unknown option \"heartbeat_intervall\"; did you mean heartbeat_interval?"),
    ("nonsense_at_all", "1", "unknown option \"nonsense_at_all\""),
    ("open_timeout", "0", "option open_timeout does not take \"0\"; allowed: 1ms to 1h"),
    ("max_message_size", "2GiB", "option max_message_size does not take \"2GiB\"; allowed: 1 to 1GiB"),
    ("verify", "perhaps", "option verify does not take \"perhaps\"; allowed: true or false"),
    ("headers", "no colon", "option headers takes Name: value; there is no colon"),
    ("jitter", "1.5", "option jitter does not take \"1.5\"; allowed: 0 to 1"),
    ("message_queue_policy", "drop", "option message_queue_policy does not take \"drop\"; allowed: drop_oldest, "),
    ("rate_limit", "5 per s", "option rate_limit does not take \"5 per s\"; allowed: COUNT/TIME"),
    ("heartbeat_reply", "{\"op\":", "option heartbeat_reply: "),
    ("login", "${nothing", "option login: "),
    ("subscribe_message", "no keys", "option subscribe_message does not take this text"),
    ("endpoints", "http://a", "option endpoints: "),
  ])
  func problemsNameOptionValueAndWhatIsAllowed(name: String, value: String, sentence: String) {
    var options = ClientOptions()
    switch options.set(name, value) {
    case .unknownOption(let text)?, .badValue(let text)?: #expect(text.hasPrefix(sentence), "\(text)")
    case nil: Issue.record("accepted")
    }
  }

  @Test(arguments: ["X: a\r\nEvil: b", "X: a\nEvil: b", "Bad Name: x", ": x", "Host: other", "Sec-WebSocket-Key: x", "X: a\u{0}b"])
  func headersThatCouldInjectAreRefused(line: String) {
    var options = ClientOptions()
    #expect(options.set("headers", line) != nil)
    #expect(options.headers.isEmpty)
  }

  @Test func headersAndSubprotocolsAddUp() {
    var options = ClientOptions()
    #expect(options.set("headers", "Origin: https://example.com") == nil)
    #expect(options.set("headers", "X-Token:  abc ") == nil)
    #expect(options.headers.map(\.value) == ["https://example.com", "abc"])
    #expect(options.set("subprotocols", "a") == nil)
    #expect(options.set("subprotocols", "b") == nil)
    #expect(options.set("subprotocols", "a") != nil)
    #expect(options.subprotocols == ["a", "b"])
  }

  @Test func statusCodesAreUniqueAndNamed() {
    var seen: Set<Int32> = []
    var index = 0
    while let code = StatusCode.at(index) {
      #expect(seen.insert(code.rawValue).inserted)
      #expect(PulseProcess.text(StatusCode.name(code.rawValue)).hasPrefix("PULSEWS_E"))
      #expect(!StatusCode.text(code.rawValue).isEmpty)
      index += 1
    }
    #expect(index > 50 && StatusCode.at(-1) == nil)
    #expect(PulseProcess.text(StatusCode.name(1)) == "PULSEWS_UNKNOWN")
  }
}

// SPDX-License-Identifier: Apache-2.0
import PulseHub
import PulseProcess
import PulseText
import Testing

/// A value, and what holds when it is set; nothing if it is refused.
struct OptionTry<Options>: Sendable, CustomTestStringConvertible {
  let name: String
  let value: String
  let holds: (@Sendable (Options) -> Bool)?

  init(_ name: String, _ value: String, _ holds: (@Sendable (Options) -> Bool)? = nil) {
    self.name = name
    self.value = value
    self.holds = holds
  }

  var testDescription: String { "\(name)=\(value.prefix(40))" }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func x(_ count: Int) -> String { String(repeating: "x", count: count) }

/// Three structs with the same functions, and no protocol in the library for it.
protocol Settable: Sendable {
  init()
  mutating func set(_ name: [UInt8], _ value: [UInt8]) -> OptionRefusal?
  static var sheet: OptionSheet { get }
}

extension HubOptions: Settable {}
extension RouteOptions: Settable {}
extension TopicOptions: Settable {}

extension Settable {
  /// The sentence; nil if it is set.
  mutating func refusal(_ name: String, _ value: String) -> String? {
    set(bytes(name), bytes(value)).map { String(bytes: $0.sentence) }
  }

  /// What a caller reads about the option.
  static func allowed(_ name: String) -> String { sheet.find(bytes(name)).map { sheet.allowed($0).description } ?? "no option" }
}

struct HubOptionTests {
  @Test(arguments: hubTries) func ofAHub(one: OptionTry<HubOptions>) throws { try check(one) }
  @Test(arguments: routeTries) func ofARoute(one: OptionTry<RouteOptions>) throws { try check(one) }
  @Test(arguments: topicTries) func ofATopic(one: OptionTry<TopicOptions>) throws { try check(one) }

  private func check<Options: Settable>(_ one: OptionTry<Options>) throws {
    var options = Options()
    let before = "\(options)"
    let why = options.refusal(one.name, one.value)
    if let holds = one.holds {
      #expect(why == nil)
      #expect(holds(options))
    } else {
      let sentence = try #require(why)
      #expect(sentence.hasPrefix("option \(one.name)"))
      if one.name != "conflate" || one.value.isEmpty {
        #expect(sentence.contains(Options.allowed(one.name)))
      }
      #expect("\(options)" == before)
    }
  }

  /// A try that nobody makes would be an option that nobody checks.
  @Test func everyOptionIsTried() {
    func expectAll<Options: Settable>(_ tries: [OptionTry<Options>]) {
      for row in 0..<Options.sheet.count {
        let name = Options.sheet.name(row).description
        #expect(tries.contains { $0.name == name && $0.holds != nil }, "\(name)")
        #expect(tries.contains { $0.name == name && $0.holds == nil }, "\(name)")
      }
    }
    expectAll(hubTries)
    expectAll(routeTries)
    expectAll(topicTries)
  }

  @Test func everyDefaultOfTheTableIsTheOneOfTheStruct() {
    func expectSame<Options: Settable>(_ plain: Options) {
      var set = plain
      for row in 0..<Options.sheet.count where !Options.sheet.defaultValue(row).isEmpty {
        #expect(set.set(Array(Options.sheet.name(row).bytes), Array(Options.sheet.defaultValue(row).bytes)) == nil)
      }
      #expect("\(set)" == "\(plain)")
    }
    expectSame(HubOptions())
    expectSame(RouteOptions())
    expectSame(TopicOptions())
  }

  @Test func sentences() {
    var hub = HubOptions()
    #expect(hub.refusal("loops", "65") == #"option loops does not take "65"; allowed: 1 to 64"#)
    #expect(
      hub.refusal("heartbeat", "1ms")
        == #"option heartbeat does not take "1ms"; allowed: 0 (off), or 10ms to 1 day (a number of seconds, or with ns, us, ms, s, m, h, d)"#
    )
    #expect(
      hub.refusal("queue_bytes", "1\n")
        == #"option queue_bytes does not take "1\x0A"; allowed: 4KiB to 16GiB (bytes, or with KB, MB, GB, KiB, MiB, GiB)"#)
    #expect(
      hub.refusal("slow_policy", "drop") == #"option slow_policy does not take "drop"; allowed: drop_oldest, conflate or disconnect"#)
    var topic = TopicOptions()
    #expect(topic.refusal("conflate", "a..b") == "option conflate: the path is not valid at byte 3 (name.name[0])")
  }

  @Test func anUnknownNameGetsTheNearest() {
    var hub = HubOptions()
    var route = RouteOptions()
    var topic = TopicOptions()
    #expect(hub.refusal("heartbeet", "1s") == #"unknown option "heartbeet" of a hub; did you mean heartbeat?"#)
    #expect(route.refusal("subprotocols", "v1") == #"unknown option "subprotocols" of a route; did you mean subprotocol?"#)
    #expect(topic.refusal("flash", "1s") == #"unknown option "flash" of a topic; did you mean flush?"#)
    #expect(topic.refusal("heartbeat_timeout", "1s") == #"unknown option "heartbeat_timeout" of a topic"#)
    #expect(hub.refusal("", "1s") == #"unknown option "" of a hub"#)
    #expect(hub.refusal("a\u{0}" + x(5000), "1")?.hasPrefix(#"unknown option "a\x00xxx"#) == true)
    #expect(hub.set(bytes("nothing"), [])?.isUnknown == true)
    #expect(hub.set(bytes("loops"), [])?.isUnknown == false)
  }

  @Test func aSecretIsNeverQuoted() {
    var hub = HubOptions()
    for value in ["hidden\u{0}", "hidden" + x(5000)] {
      let why = hub.refusal("publish_token", value)
      #expect(why == "option publish_token does not take this; allowed: 1 to 4096 bytes without NUL")
    }
    #expect(hub.refusal("publish_token", "hidden") == nil)
    #expect(hub.publishToken == bytes("hidden"))
  }

  @Test func aListTakesItsMostAndIsEmptied() {
    var route = RouteOptions()
    for number in 0..<16 { #expect(route.refusal("subprotocol", "v\(number)") == nil) }
    #expect(route.refusal("subprotocol", "v16") == "option subprotocol takes at most 16 values")
    #expect(route.subprotocols.count == 16)
    #expect(route.subprotocols.first == bytes("v0") && route.subprotocols.last == bytes("v15"))
    #expect(route.refusal("topic", "price.SOL") == nil)
    #expect(route.refusal("subprotocol", "") == nil)
    #expect(route.subprotocols.isEmpty && route.topics == [bytes("price.SOL")])
  }

  @Test func eventsAreASet() {
    var hub = HubOptions()
    for name in ["connected", "closed", "connected", "drained"] { #expect(hub.refusal("events", name) == nil) }
    #expect(hub.events.count == 3)
    #expect(hub.events.contains(.connected) && hub.events.contains(.closed) && hub.events.contains(.drained))
    #expect(!hub.events.contains(.message))
    #expect(hub.refusal("events", "") == nil)
    #expect(hub.events == HubEventSet())
  }

  @Test(arguments: [
    "*", "https://app.example.com", "http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:65535", "http://[::1]",
    "chrome-extension://abcdefgh", "capacitor://localhost",
  ])
  func origins(text: String) {
    var hub = HubOptions()
    #expect(hub.refusal("origin", text) == nil)
    #expect(hub.origins == [bytes(text)])
  }

  @Test(arguments: [
    "null", "**", "https://", "https:/app", "https//app", "://app", "https://app/", "https://app/path", "https://app:", "https://:80",
    "https://app:80x", "https://app:123456", "https://a b", "https://user@app", "https://app?q", "https://*.example.com", "9p://app",
    "https://[::1", "https://::1", "https://[::1]x", "https://App", "HTTPS://app", "https://[::1]x]", "https://[]:", "https://\u{e4}",
    "https://app\u{0}",
  ])
  func notOrigins(text: String) {
    var hub = HubOptions()
    #expect(hub.refusal("origin", text) != nil)
    #expect(hub.origins.isEmpty)
  }

  @Test func theThreeSetsAreOneTable() throws {
    let count = HubOptions.sheet.count + RouteOptions.sheet.count + TopicOptions.sheet.count
    for index in 0..<count {
      let entry = try #require(HubOptionTable.entry(index))
      #expect(!entry.sheet.name(entry.row).isEmpty && !entry.sheet.kind(entry.row).isEmpty)
      #expect(!entry.sheet.allowed(entry.row).isEmpty)
    }
    func first(_ of: String, _ name: String, at index: Int) throws {
      let entry = try #require(HubOptionTable.entry(index))
      #expect(entry.of.description == of && entry.row == 0 && entry.sheet.name(0).description == name)
    }
    try first("hub", "name", at: 0)
    try first("route", "kind", at: HubOptions.sheet.count)
    try first("topic", "history", at: HubOptions.sheet.count + RouteOptions.sheet.count)
    for index in [-1, count, .max, .min] { #expect(HubOptionTable.entry(index).map(\.row) == nil) }
  }

  @Test func aTopicsNameIsUTF8() {
    var route = RouteOptions()
    #expect(route.set(bytes("topic"), [0x61, 0xFF]) != nil)
    #expect(route.set(bytes("topic"), [0x61, 0xC3]) != nil)
    #expect(route.set(bytes("topic"), bytes("preis.\u{20ac}")) == nil)
  }

  /// Whatever bytes come, they are taken or refused.
  @Test func anyBytes() {
    var random = SystemRandomNumberGenerator()
    func expectSentences<Options: Settable>(_ plain: Options) {
      for row in 0..<Options.sheet.count {
        let name = Array(Options.sheet.name(row).bytes)
        for _ in 0..<200 {
          var options = plain
          let value = (0..<Int.random(in: 0...24, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
          guard let refusal = options.set(name, value) else { continue }
          #expect(!refusal.isUnknown && !refusal.sentence.isEmpty)
          #expect(refusal.sentence.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
        }
      }
    }
    expectSentences(HubOptions())
    expectSentences(RouteOptions())
    expectSentences(TopicOptions())
  }
}

// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import PulseTopics

@Suite struct HubMessageTests {
  static let instant: Int64 = 1_764_471_234_567_123_456

  @Test func messagesAreAsTheProtocolSays() {
    let info = makeInfo("price.\"SOL\"\\\n€")
    let name = #""topic":"price.\"SOL\"\\\u000a€""#
    let rows: [([UInt8], String)] = [
      (
        HubMessage.welcome(
          client: Array("c-9f"), hub: Array("h1"), heartbeat: 25_000_000_000, resumeWindow: 1_500_000_000,
          time: Self.instant),
        #"{"type":"welcome","data":{"client":"c-9f","hub":"h1","heartbeat":25,"time":"2025-11-30T02:53:54.567Z","resume_window":1.5}}"#
      ),
      (HubMessage.unsubscribed(Array("a\"b"), id: Array("1")), #"{"type":"unsubscribed","id":1,"topic":"a\"b"}"#),
      (
        HubMessage.gap(info, Gap(from: 1042, to: 1050, cause: .slow)),
        #"{"type":"gap",\#(name),"from":1042,"to":1050,"cause":"slow"}"#
      ),
      (
        HubMessage.gap(info, Gap(from: 0, to: .max, cause: .hubRestart)),
        #"{"type":"gap",\#(name),"from":null,"to":18446744073709551615,"cause":"hub_restart"}"#
      ),
      (
        HubMessage.topicState(info, .stale, age: 4_200_000_000, feed: Array("b-1"), cause: Array("no data")),
        #"{"type":"topic_state",\#(name),"state":"stale","age":4.2,"feed":"b-1","cause":"no data"}"#
      ),
      (
        HubMessage.topicState(info, .live, age: -1, feed: [], cause: []),
        #"{"type":"topic_state",\#(name),"state":"live","age":null}"#
      ),
      (
        HubMessage.error(id: Array("\"x\""), code: "topic_forbidden", message: Array("no"), topic: Array("t")),
        #"{"type":"error","id":"x","topic":"t","data":{"code":"topic_forbidden","message":"no","details":{}}}"#
      ),
      (
        HubMessage.error(id: [], code: "c", message: [0xFF, 0x22], details: Array(#"{"a":1}"#)),
        #"{"type":"error","data":{"code":"c","message":"\#u{FFFD}\"","details":{"a":1}}}"#
      ),
      (
        HubMessage.pong(id: Array("7"), sent: Array("1.5"), time: Self.instant),
        #"{"type":"pong","id":7,"data":{"sent":1.5,"time":1764471234567.123}}"#
      ),
      (HubMessage.ping(time: 0), #"{"type":"ping","data":{"time":null}}"#),
      (HubMessage.heartbeat(time: 1_005_000), #"{"type":"heartbeat","data":{"time":1.005}}"#),
      (
        HubMessage.auth(id: [], user: Array("u"), expires: 0),
        #"{"type":"auth","data":{"user":"u","expires":null}}"#
      ),
      (HubMessage.authExpiring(remaining: 30_000_000_000), #"{"type":"auth_expiring","data":{"in":30}}"#),
    ]
    for (bytes, expected) in rows {
      #expect(text(bytes) == expected)
      #expect(!object(bytes).isEmpty)
    }
  }

  @Test func subscribedTellsTheEndOfTheTopic() {
    let topic = Topic(makeInfo("b", number: 9) { $0.isBinary = true }, epoch: Array("k3"), seed: 1, now: 0)
    let cut = topic.subscribe(SubscribeWish(), now: 0)
    #expect(
      text(HubMessage.subscribed(cut, id: Array("1")))
        == #"{"type":"subscribed","id":1,"topic":"b","number":9,"epoch":"k3","offset":0,"recovered":false,"state":"live"}"#)
  }
}

@Suite struct TopicPatternTests {
  @Test(arguments: [
    ("price.SOL", "price.SOL", true), ("price.SOL", "price.SOL.x", false), ("price.SOL", "price", false),
    ("price.*", "price.SOL", true), ("price.*", "price.", false), ("price.*", "price", false),
    ("price.*", "price.SOL.1m", false), ("*.SOL", "price.SOL", true), ("*", "price", true), ("*", "a.b", false),
    ("a.*.c", "a.b.c", true), ("a.*.c", "a.b.d", false), ("a.**", "a.b", true), ("a.**", "a.b.c", true),
    ("a.**", "a", false), ("a.**", "a.", false), ("**", "a.b.c", true), ("price", "prices", false),
  ])
  func aPatternMatchesSegments(_ pattern: String, _ name: String, _ expected: Bool) throws {
    #expect(try #require(TopicPattern(Array(pattern))).matches(Array(name)) == expected)
  }

  @Test(arguments: ["", "a*", "a.b*", "***", "**.a", "a.\n", "a\u{85}", String(repeating: "a", count: 257)])
  func whatIsNoPatternIsRefused(_ pattern: String) { #expect(TopicPattern(Array(pattern)) == nil) }

  @Test func theMoreSpecificOneIsKnown() throws {
    let order = ["price.SOL", "price.*", "price.**", "*.SOL", "*.*", "**"]
    for (index, one) in order.enumerated() {
      for (place, other) in order.enumerated() {
        let first = try #require(TopicPattern(Array(one)))
        let second = try #require(TopicPattern(Array(other)))
        #expect(first.isMoreSpecific(than: second) == (index < place), "\(one) and \(other)")
      }
      #expect(try #require(TopicPattern(Array(one))).isName == (index == 0))
    }
  }
}

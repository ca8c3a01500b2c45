// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseTopics

@Suite struct PeerMessageTests {
  private func parse(_ message: String) -> PeerMessage { Array(message).withUnsafeBytes { PeerMessage.parse($0) } }

  /// What was read, in short.
  private func summary(_ message: String) -> String {
    let parsed = parse(message)
    let id = parsed.id.isEmpty ? "" : "\(text(parsed.id)): "
    func list(_ wishes: [TopicWish]) -> String {
      wishes.map { wish in
        let since = wish.since.map { " since \(text($0.epoch)) \($0.offset)" } ?? ""
        return text(wish.name) + since + (wish.history > 0 ? " history \(wish.history)" : "")
      }.joined(separator: ", ")
    }
    switch parsed.content {
    case .ping(let sent): return "\(id)ping \(text(sent))"
    case .subscribe(let wishes): return "\(id)subscribe \(list(wishes))"
    case .unsubscribe(let wishes): return "\(id)unsubscribe \(list(wishes))"
    case .auth(let token): return "\(id)auth \(text(token))"
    case .application: return "\(id)application"
    case .invalid(let problem): return "\(id)\(problem)"
    }
  }

  @Test(arguments: [
    (#"{"type":"ping"}"#, "ping "), (#"{"type":"ping","id":3,"data":{"sent":17.5}}"#, "3: ping 17.5"),
    (#"{"type":"ping","data":{"sent":"a\"b"}}"#, #"ping "a\"b""#), (#"{"type":"ping","data":{"sent":[1]}}"#, "ping "),
    (#"{"type":"ping","data":5}"#, "ping "), (#" { "type" : "p\u0069ng" } "#, "ping "),
    (#"{"type":"subscribe","id":1,"topics":["a","b"]}"#, "1: subscribe a, b"),
    (#"{"topics":["a"],"type":"subscribe","id":"x"}"#, #""x": subscribe a"#),
    (
      #"{"type":"subscribe","topics":[{"topic":"c.1m","since":{"epoch":"k3","offset":1041},"history":20}]}"#,
      "subscribe c.1m since k3 1041 history 20"
    ),
    (#"{"type":"subscribe","topics":[{"topic":"c","since":null,"history":null}]}"#, "subscribe c"),
    (
      #"{"type":"subscribe","topics":[{"topic":"c","since":{"epoch":"k","offset":18446744073709551615}}]}"#,
      "subscribe c since k 18446744073709551615"
    ),
    (#"{"type":"subscribe","topics":["\u20ac\ud83d\ude00"]}"#, "subscribe €😀"),
    (#"{"type":"unsubscribe","topics":["a",{"topic":"b","since":7}]}"#, "unsubscribe a, b"),
    (#"{"type":"auth","data":{"token":"abc"}}"#, "auth abc"),
    (#"{"type":"subscribe","id":4,"symbols":["SOL","BTC"]}"#, "4: subscribe price.SOL, price.BTC"),
    (#"{"symbols":["S\u006fL"],"type":"unsubscribe"}"#, "unsubscribe price.SoL"),
    (#"{"type":"subscribe","symbols":["SOL"],"topics":["a"]}"#, "subscribe a"),
    (#"{"type":"subscribe","symbols":[""]}"#, "badTopic"), (#"{"type":"subscribe","symbols":[]}"#, "badTopics"),
    (#"{"type":"subscribe","symbols":"SOL"}"#, "badTopics"),
    (#"{"type":"order","topics":7}"#, "application"), (#"{"type":7}"#, "application"), ("{}", "application"),
    ("", "application"), ("hello", "application"), ("[1]", "application"),
    (#"{"type":"ping"} x"#, "application"), (#"{"type":"ping""#, "application"), (#"{"type":"ping","a":01}"#, "application"),
    (#"{"type":"subscribe"}"#, "badTopics"), (#"{"type":"subscribe","topics":"a"}"#, "badTopics"),
    (#"{"type":"subscribe","topics":[]}"#, "badTopics"), (#"{"type":"unsubscribe","topics":{}}"#, "badTopics"),
    (#"{"type":"subscribe","topics":[7]}"#, "badTopic"), (#"{"type":"subscribe","topics":[""]}"#, "badTopic"),
    (#"{"type":"subscribe","topics":["a\n"]}"#, "badTopic"), (#"{"type":"subscribe","topics":["\ud800"]}"#, "badTopic"),
    (#"{"type":"subscribe","topics":["\u0085"]}"#, "badTopic"), (#"{"type":"subscribe","topics":[{}]}"#, "badTopic"),
    (#"{"type":"subscribe","topics":[{"topic":"a","since":5}]}"#, "badSince"),
    (#"{"type":"subscribe","topics":[{"topic":"a","since":{"epoch":"k"}}]}"#, "badSince"),
    (#"{"type":"subscribe","topics":[{"topic":"a","since":{"epoch":"k","offset":-1}}]}"#, "badSince"),
    (#"{"type":"subscribe","topics":[{"topic":"a","since":{"epoch":"k","offset":18446744073709551616}}]}"#, "badSince"),
    (#"{"type":"subscribe","topics":[{"topic":"a","since":{"epoch":"","offset":1}}]}"#, "badSince"),
    (#"{"type":"subscribe","topics":[{"topic":"a","history":100001}]}"#, "badHistory"),
    (#"{"type":"subscribe","topics":[{"topic":"a","history":1.5}]}"#, "badHistory"),
    (#"{"type":"auth"}"#, "badToken"), (#"{"type":"auth","id":2,"data":{"token":5}}"#, "2: badToken"),
    (#"{"type":"auth","data":{"token":""}}"#, "badToken"),
    (#"{"type":"ping","type":"auth","id":[1]}"#, "ping "),
  ])
  func messagesAreRead(_ message: String, _ expected: String) { #expect(summary(message) == expected) }

  @Test func listsAndNamesHaveLimits() {
    func list(_ count: Int, _ name: String) -> String {
      #"{"type":"subscribe","topics":["# + [String](repeating: "\"\(name)\"", count: count).joined(separator: ",") + "]}"
    }
    #expect(summary(list(256, "a")).hasPrefix("subscribe a, a"))
    #expect(summary(list(257, "a")) == "tooManyTopics")
    #expect(summary(list(1, String(repeating: "n", count: 256))).hasPrefix("subscribe n"))
    #expect(summary(list(1, String(repeating: "n", count: 257))) == "badTopic")
    let escaped = String(repeating: "\\u006e", count: 256)
    #expect(summary(list(1, escaped)) == "subscribe \(String(repeating: "n", count: 256))")
    #expect(summary(list(1, escaped + "n")) == "badTopic")
    for (size, isRead) in [(8192, true), (8193, false)] {
      let token = String(repeating: "t", count: size)
      #expect(summary("{\"type\":\"auth\",\"data\":{\"token\":\"\(token)\"}}") == (isRead ? "auth \(token)" : "badToken"))
    }
    // 64 bytes with the quotation marks.
    for (size, isRead) in [(62, true), (63, false)] {
      let id = String(repeating: "i", count: size)
      #expect(parse("{\"type\":\"ping\",\"id\":\"\(id)\"}").id.isEmpty == !isRead)
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

@Suite struct ResumePointsTests {
  private let points = ResumePoints(seed: 1)

  private func take(_ message: String) -> String {
    switch withExact(bytes(message), { points.take($0) }) {
    case .none: "none"
    case .repeated: "repeated"
    case .gap(let topic, let from, let to): "gap \(String(decoding: topic, as: UTF8.self)) \(from.map { "\($0)" } ?? "?") \(to)"
    }
  }

  private func wish(_ topics: String...) -> String {
    var out: [UInt8] = []
    points.appendSubscribe(topics.map { bytes($0) }, id: 7, to: &out)
    return String(decoding: out, as: UTF8.self)
  }

  private func since(_ topic: String) -> String {
    let text = wish(topic)
    guard let range = text.firstRange(of: "\"epoch\":\"") else { return "new" }
    return String(text[range.upperBound...].prefix { $0 != "}" }).replacing("\",\"offset\":", with: " ")
  }

  @Test func followsATopic() {
    #expect(wish("a", "b\"") == #"{"type":"subscribe","id":7,"topics":[{"topic":"a"},{"topic":"b\""}]}"#)
    #expect(take(#"{"type":"subscribed","id":1,"topic":"a","epoch":"k3","offset":10,"recovered":false,"state":"live"}"#) == "none")
    #expect(wish("a") == #"{"type":"subscribe","id":7,"topics":[{"topic":"a","since":{"epoch":"k3","offset":10}}]}"#)
    #expect(take(#"{"type":"x","topic":"a","o":11,"p":10,"t":[1,2,3],"data":{}}"#) == "none" && since("a") == "k3 11")
    #expect(take(#"{"type":"x","topic":"a","o":15,"p":11,"skipped":3,"data":{}}"#) == "none" && since("a") == "k3 15")
    #expect(take(#"{"type":"x","topic":"a","o":15,"p":11,"data":{}}"#) == "repeated")
    #expect(take(#"{"type":"subscribed","topic":"a","epoch":"k3","offset":20,"recovered":true}"#) == "none" && since("a") == "k3 15")
    #expect(take(#"{"type":"gap","topic":"a","from":16,"to":18,"cause":"slow"}"#) == "gap a 16 18" && since("a") == "k3 18")
    #expect(take(#"{"type":"subscribed","topic":"a","epoch":"k4","offset":2,"recovered":false}"#) == "none")
    // A connection that ends now has not told what is missing.
    #expect(since("a") == "k3 18")
    #expect(take(#"{"type":"gap","topic":"a","from":null,"to":2,"cause":"hub_restart"}"#) == "gap a ? 2" && since("a") == "k4 2")
    #expect(take(#"{"type":"x","topic":"a","o":3,"data":{}}"#) == "none" && since("a") == "k4 3")
    points.forget(bytes("a"))
    #expect(since("a") == "new" && since("b") == "new")
  }

  @Test func namesMayHaveEscapes() {
    #expect(take(#"{"type":"subscribed","topic":"a\u0062","epoch":"e","offset":1,"recovered":false}"#) == "none")
    #expect(since("ab") == "e 1")
  }

  /// Whatever a server says: nothing of it counts that is not as it has to be.
  @Test(arguments: [
    "", "[]", "{", "null", #"{"topic":"a""#, #"{"o":5}"#, #"{"topic":5,"o":5}"#,
    #"{"type":"subscribed","topic":"a","epoch":"e","recovered":false}"#,
    #"{"type":"subscribed","topic":"a","epoch":"e","offset":-1,"recovered":false}"#,
    #"{"type":"subscribed","topic":"a","epoch":"e","offset":1.5}"#,
    #"{"type":"subscribed","topic":"a","epoch":"e","offset":99999999999999999999}"#, #"{"type":"gap","topic":"a","from":1}"#,
    #"{"type":"gap","topic":"","from":1,"to":2}"#, #"{"type":"snapshot","topic":"a","epoch":"e","offset":5}"#,
    #"{"type":"subscribed","topic":"a","epoch":"\#(String(repeating: "e", count: 33))","offset":5}"#,
    #"{"type":"subscribed","topic":"\#(String(repeating: "a", count: 257))","epoch":"e","offset":5}"#,
  ])
  func whatIsWrongIsNoNews(_ message: String) {
    #expect(take(message) == "none" && since("a") == "new")
  }
}

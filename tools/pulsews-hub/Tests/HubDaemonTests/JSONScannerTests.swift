// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct JSONScannerTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test(arguments: [
    "1", "-0.5e+10", "0", "\"a\\u00e9\\n\"", "true", "false", "null", "[]", "{}", " [1, {\"a\" : [null]} ] \n", "\"\"", "1E5",
    "{\"a\":1,\"a\":2}",
  ])
  func values(_ text: String) {
    #expect(JSONScanner.isValue(bytes(text)))
    // No part of it breaks anything, and none of a container is a value.
    for count in 0..<text.utf8.count { _ = JSONScanner.isValue(Array(bytes(text).prefix(count))) }
  }

  @Test(arguments: [
    "", " ", "01", "1.", ".5", "+1", "1e", "-", "tru", "nul", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "\"\n\"",
    "\"\\x\"",
    "\"\\u12g4\"", "\"a", "[1", "1 2", "[1]]", "'a'", "NaN", "{\"a\":1]", "\u{FEFF}1",
  ])
  func noValues(_ text: String) { #expect(!JSONScanner.isValue(bytes(text))) }

  @Test func bytesThatAreNoTextAreNone() { #expect(!JSONScanner.isValue([0x22, 0xFF, 0x22])) }

  @Test func depthIsBounded() {
    func nested(_ count: Int) -> [UInt8] { bytes(String(repeating: "[", count: count) + String(repeating: "]", count: count)) }
    #expect(JSONScanner.isValue(nested(64)))
    #expect(!JSONScanner.isValue(nested(66)))
    #expect(!JSONScanner.isValue(nested(100_000)))
  }

  @Test func membersAreFound() {
    let json = bytes(#"{"a":{"b":"x","n":-1.50,"t":true},"e\u006e":"q\"\u00e9\ud83d\ude00","z":null,"l":[1]}"#)
    #expect(JSONScanner.text(json, at: ["a", "b"]) == "x")
    #expect(JSONScanner.text(json, at: ["a", "n"]) == "-1.50")
    #expect(JSONScanner.text(json, at: ["a", "t"]) == "true")
    #expect(JSONScanner.text(json, at: ["en"]) == "q\"\u{e9}\u{1F600}")
    for path in [["z"], ["l"], ["a"], ["none"], ["a", "b", "c"], ["l", "0"]] { #expect(JSONScanner.text(json, at: path) == nil) }
    #expect(JSONScanner.raw(json, at: ["l"]) == "[1]")
    #expect(JSONScanner.text(bytes(#"{"a":"\ud800"}"#), at: ["a"]) == nil)
    #expect(JSONScanner.text(bytes("[1]"), at: ["a"]) == nil)
    #expect(JSONScanner.text([], at: ["a"]) == nil)
  }

  @Test(arguments: [
    (#"{"secret":"s","a":1}"#, #"{"a":1}"#), (#"{"a":1,"secret":"s"}"#, #"{"a":1}"#),
    (#"{ "a":1 , "secret" : "s" , "b":2 }"#, #"{ "a":1 , "b":2 }"#),
    (#"{"secret":"s"}"#, "{}"), (#"{"s\u0065cret":"s","a":{"secret":2}}"#, #"{"a":{"secret":2}}"#),
  ])
  func aMemberIsTakenOut(_ text: String, _ rest: String) {
    let found = JSONScanner.extract("secret", from: bytes(text))
    #expect(found?.value == "s")
    #expect(found.map { String(decoding: $0.rest, as: UTF8.self) } == rest)
    #expect(found.map { JSONScanner.isValue($0.rest) } == true)
  }

  @Test(arguments: [#"{"a":1}"#, #"{"secret":"a","secret":"b"}"#, #"{"secret":{}}"#, "[]", "1", ""])
  func orItIsNotThere(_ text: String) { #expect(JSONScanner.extract("secret", from: bytes(text)) == nil) }

  @Test func arraysOfTexts() {
    let json = bytes(#"{"a":["x", "y\n"],"b":[],"c":[1],"d":"x"}"#)
    #expect(JSONScanner.texts(json, at: ["a"]) == ["x", "y\n"])
    #expect(JSONScanner.texts(json, at: ["b"]) == [])
    for name in ["c", "d", "none"] { #expect(JSONScanner.texts(json, at: [name]) == nil) }
    #expect(JSONScanner.texts(bytes(#"{"a":["x"}"#), at: ["a"]) == nil)
  }
}

// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

private func value(_ path: String, _ message: String) -> String? {
  guard case .success(let path) = JSONPath.parse(bytes(path)) else {
    Issue.record("\(path)")
    return nil
  }
  return withExact(bytes(message)) { path.value(in: $0).map { String(decoding: $0, as: UTF8.self) } }
}

@Suite struct JSONPathTests {
  @Test func finds() {
    let message =
      #" { "e" : "trade", "data":{"s":"BTC","n":[10,{"id":"x\"y"},[1,2]], "0":true},"#
      + #" "e":"later", "p\u0061th": null , "z":-1.5e3 } "#
    #expect(value("e", message) == #""trade""#)
    #expect(value(".e", message) == #""trade""#)
    #expect(value("data.s", message) == #""BTC""#)
    #expect(value("data.n[0]", message) == "10" && value("data.n.0", message) == "10")
    #expect(value("data.n[1].id", message) == #""x\"y""# && value("data.n.1.id", message) == #""x\"y""#)
    #expect(value("data.n[2][1]", message) == "2" && value("data.n.2", message) == "[1,2]")
    #expect(value("data.0", message) == "true" && value("data[0]", message) == nil)
    #expect(value("path", message) == "null" && value("z", message) == "-1.5e3")
    for missing in [
      "x", "data.x", "data.n[3]", "data.n.x", "data.n[99999999]", "e.x", "e[0]", "[0]", "0", "data.n.1.id.x",
    ] {
      #expect(value(missing, message) == nil)
    }
    #expect(value("0.T", #"[{"T":"q"}]"#) == #""q""# && value("[0].T", #"[{"T":"q"}]"#) == #""q""#)
    #expect(value("[1]", "[1, [ 2 ] ]") == "[ 2 ]")
    #expect(value("a b", #"{"a b":1}"#) == "1" && value("é", #"{"\u00e9":1}"#) == "1" && value("00", #"[5]"#) == "5")
  }

  @Test func nothingWhereTheMessageIsNotValidBefore() {
    for message in [
      "", "{", "1", "\"a\"", "{\"a\"}", "{\"a\":}", "{\"a\":1", "{\"a\":01}", "{\"a\":truex}", "{\"a\":\"b}",
      "{\"x\":tru,\"a\":1}",
      "{\"x\":1 \"a\":1}", "{\"x\":[1,],\"a\":1}", "{\"a\":[1}", "{\"a\":1:2}",
    ] {
      #expect(value("a", message) == nil, "\(message)")
    }
    // What follows is not looked at.
    #expect(value("a", "{\"a\":1,") == "1" && value("a", "{\"a\":1}x") == "1")
    let deep = String(repeating: "{\"a\":", count: 70) + "1" + String(repeating: "}", count: 70)
    #expect(value("a", deep) == nil)
    #expect(value("a" + String(repeating: ".a", count: 69), deep) == nil)
    let high = String(repeating: "{\"a\":", count: 64) + "1" + String(repeating: "}", count: 64)
    #expect(value("a" + String(repeating: ".a", count: 63), high) == "1")
  }

  @Test func otherWaysToWriteIt() {
    for path in ["$.a.b[1]", ".a.b[1]", " a.b[1] ", " $.a.b[1]"] { #expect(value(path, #"{"a":{"b":[1,2]}}"#) == "2") }
    #expect(value("$[1]", "[1,2]") == "2")
    #expect(value("$", #"{"$":3}"#) == "3" && value("$a", #"{"$a":3}"#) == "3")
    #expect(problem(JSONPath.parse([0x20])) == "the path is empty")
  }

  @Test func refused() {
    #expect(problem(JSONPath.parse([])) == "the path is empty")
    #expect(problem(JSONPath.parse([UInt8](repeating: 0x61, count: 1025))) == "the path is longer than 1024 bytes")
    for (path, byte) in [
      (".", 2), ("a.", 3), ("a..b", 3), ("a[", 3), ("a[]", 3), ("a[x]", 4), ("a[-1]", 5), ("a[1", 4), ("a]", 2),
      ("[0]a", 4), ("a.[0]", 3),
      ("a[0]]", 5), ("a[999999999999999999999]", 24), ("..a", 2), ("]", 1),
    ] {
      #expect(problem(JSONPath.parse(bytes(path))) == "the path is not valid at byte \(byte) (name.name[0])", "\(path)")
    }
  }
}

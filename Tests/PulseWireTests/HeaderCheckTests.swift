// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseWire

struct HeaderCheckTests {
  @Test(arguments: [
    ("X", ""), ("Authorization", "Bearer abc.def-_="), ("x-!#$%&'*+.^_`|~1", "v"), ("User-Agent", "pulse (a; b)\t\"c\""),
    ("Origin", "https://example.com"), ("Cookie", "a=b; c=d"), ("X-Name", "Zürich"), ("Hosts", "x"), ("Upgrades", "x"),
    ("Sec-WebSocke", "x"),
  ]) func allowed(_ name: String, _ value: String) {
    #expect(HeaderCheck.headerProblem(name: name, value: value) == nil)
  }

  @Test(arguments: [
    ("", "v", "empty name"), ("X Y", "v", "\\x20"), ("X:", "v", "\\x3A"), ("X\r\nY", "v", "\\x0D"),
    ("X\n", "v", "\\x0A"), ("X\u{0}", "v", "\\x00"), ("Xé", "v", "\\xC3"), ("(X)", "v", "\\x28"), ("X\t", "v", "\\x09"),
    ("X", "a\r\nEvil: 1", "byte \\x0D at index 1"), ("X", "a\nEvil: 1", "byte \\x0A at index 1"),
    ("X", "a\r\n b", "\\x0D"), ("X", "a\u{0}", "\\x00"), ("X", "\u{7F}", "\\x7F"), ("X", "\u{1B}[2J", "\\x1B"),
    ("Host", "h", "set by the library"), ("UPGRADE", "x", "set by the library"), ("connection", "x", "set by the library"),
    ("Sec-WebSocket-Key", "x", "set by the library"), ("sec-websocket-protocol", "x", "set by the library"),
    ("SEC-WEBSOCKET-", "x", "set by the library"), ("Content-Length", "5", "set by the library"),
    ("Transfer-Encoding", "chunked", "set by the library"), ("Expect", "100-continue", "set by the library"),
    ("Proxy-authorization", "Basic eDp5", "option proxy"),
  ]) func refused(_ name: String, _ value: String, _ fragment: String) throws {
    let problem = try #require(HeaderCheck.headerProblem(name: name, value: value))
    expectPlain(problem)
    #expect(problem.contains(fragment), "\(problem)")
  }

  @Test func valuesAreNotRepeated() throws {
    let problem = try #require(HeaderCheck.headerProblem(name: "Authorization", value: "Bearer hunter2\n"))
    #expect(!problem.contains("hunter2"))
  }

  @Test func everyByteInNameAndValue() {
    for byte in UInt8.min...0x7F {
      let text = String(decoding: [UInt8(ascii: "a"), byte], as: UTF8.self)
      let isToken = HTTPText.isToken(byte)
      #expect((HeaderCheck.headerProblem(name: text, value: "") == nil) == isToken)
      #expect((HeaderCheck.headerProblem(name: "a", value: text) == nil) == (byte == 9 || (byte >= 32 && byte != 127)))
    }
  }

  @Test func numberAndSize() {
    let many = [HTTPHeader](repeating: (name: "X", value: "y"), count: 128)
    #expect(HeaderCheck.problem(many) == nil)
    #expect(HeaderCheck.problem(many + [(name: "X", value: "y")])?.contains("at most 128") == true)
    let long = String(repeating: "a", count: 40000)
    #expect(HeaderCheck.problem([(name: "X", value: long)]) == nil)
    #expect(HeaderCheck.problem([(name: "X", value: long), (name: "Y", value: long)])?.contains("65536") == true)
    #expect(HeaderCheck.headerProblem(name: "X", value: long + long)?.contains("65536") == true)
    #expect(HeaderCheck.headerProblem(name: long + long, value: "") != nil)
  }

  @Test func subprotocols() {
    #expect(HeaderCheck.subprotocolProblem([]) == nil)
    #expect(HeaderCheck.subprotocolProblem(["a", "A", "v1.json"]) == nil)
    for bad in ["", "a b", "a,b", "a\r\n", "a\u{0}", "é", "a/b", "\"a\""] {
      let problem = HeaderCheck.subprotocolProblem(["ok", bad])
      #expect(problem?.contains("not a token") == true)
      expectPlain(problem ?? "")
    }
    #expect(HeaderCheck.subprotocolProblem(["a", "b", "a"])?.contains("twice") == true)
    #expect(HeaderCheck.subprotocolProblem((0...128).map { "p\($0)" })?.contains("at most 128") == true)
    let long = String(repeating: "a", count: 40000)
    #expect(HeaderCheck.subprotocolProblem([long, long + "b"])?.contains("65536") == true)
  }
}

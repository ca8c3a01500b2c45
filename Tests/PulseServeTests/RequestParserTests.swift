// SPDX-License-Identifier: Apache-2.0
import PulseServe
import PulseText
import PulseWire
import Testing

struct RequestParserTests {
  struct Vector: CustomTestStringConvertible, Sendable {
    var name: String
    var bytes: [UInt8]
    var expected: [String]
    var testDescription: String { name }

    init(_ name: String, _ text: String, _ expected: String...) {
      self.name = name
      bytes = Array(text.utf8)
      self.expected = expected
    }
  }

  static let upgrade = """
    GET /ws?x=1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n
    """

  static let vectors: [Vector] = [
    Vector("plain", "GET /a?b=1 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a?b=1 keep"),
    Vector("close", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", "GET / close"),
    Vector("1.0", "GET / HTTP/1.0\r\n\r\n", "GET / close"),
    Vector("1.0 that goes on", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / keep"),
    Vector("1.0 that does and does not", "GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", "GET / close"),
    Vector("length", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "POST /p keep hello"),
    Vector("length 0", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "POST /p keep"),
    Vector("length in 1.0", "POST /p HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "POST /p close hi"),
    Vector(
      "chunks", "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00a;x=\"1;2\"\r\n0123456789\r\n0\r\n\r\n",
      "POST /p keep abc0123456789"),
    Vector(
      "a chunk that holds line ends", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
      "POST / keep \r\n0\r\n\r\n"),
    Vector("no chunk", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST / keep"),
    Vector(
      "trailer is thrown away",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nContent-Length: 7\r\nX: y\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST / keep x", "GET /b keep"),
    Vector(
      "pipelined",
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhiGET /3 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /1 keep", "POST /2 keep hi", "GET /3 keep"),
    Vector(
      "an empty line first", "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n", "GET / keep", "GET /2 keep"),
    Vector(
      "nothing behind close", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n", "GET / close"),
    Vector("upgrade", upgrade, "GET /ws?x=1 upgrade"),
    Vector("h2c is passed over", "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "GET / keep"),
    Vector("upgrade that is not of the connection", "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", "GET / keep"),
    Vector("with scheme and host", "GET http://H:80/a HTTP/1.1\r\nHost: h:80\r\n\r\n", "GET /a keep"),
    Vector("the whole server", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * keep"),
    Vector("another method", "BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n", "BREW /pot keep"),
    Vector("cut short", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhell", "incomplete"),
    Vector("chunks cut short", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", "incomplete"),
    Vector("not HTTP", "\u{16}\u{3}\u{1}\u{2}", "failed 0 bad_request"),
    Vector("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "failed 0 bad_request"),
    Vector("HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "failed 505 version_not_supported"),
    Vector("HTTP/0.9", "GET /\r\n", "failed 400 bad_request"),
    Vector("an expectation of something", "GET / HTTP/1.1\r\nHost: h\r\nExpect: cake\r\n\r\n", "failed 417 expectation_failed"),
    Vector("a body too large", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", "failed 413 body_too_large"),
    Vector("a chunk too large", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n", "failed 413 body_too_large"),
  ]

  @Test(arguments: vectors) func vector(_ vector: Vector) {
    let whole = Conversation(vector.bytes)
    #expect(whole.results == vector.expected, "\(whole.sentence)")
    for cuts in cuts(of: vector.bytes.count) {
      let cut = Conversation(vector.bytes, cuts: cuts)
      if cut != whole {
        Issue.record("cut as \(cuts.prefix(2)): \(cut.results) \(cut.used) instead of \(whole.results) \(whole.used)")
        return
      }
    }
  }

  /// What follows an upgrade is left for the frames.
  @Test func framesStay() {
    let bytes = Array(Self.upgrade.utf8) + [0x81, 0x80, 1, 2, 3, 4]
    for cuts in cuts(of: bytes.count) {
      let cut = Conversation(bytes, cuts: cuts)
      #expect(cut.results == ["GET /ws?x=1 upgrade"] && cut.used == Self.upgrade.utf8.count)
    }
  }

  @Test func bytesBehindTheLastRequestAreThrownAway() {
    let parser = RequestParser()
    let bytes = message("GET / HTTP/1.1", "Host: h", "Connection: close")
    var offset = 0
    guard case .request = bytes.withUnsafeBytes({ parser.receive($0, from: &offset) }) else {
      Issue.record("no request")
      return
    }
    offset = 0
    guard case .needMoreBytes = bytes.withUnsafeBytes({ parser.receive($0, from: &offset) }) else {
      Issue.record("a second request")
      return
    }
    #expect(offset == bytes.count)
  }

  @Test func limits() {
    var limits = RequestLimits()
    limits.headSize = 200
    limits.targetSize = 20
    limits.headers = 3
    limits.bodySize = 10
    func result(_ text: String) -> String { Conversation(Array(text.utf8), limits: limits).results.last ?? "" }
    let host = "HTTP/1.1\r\nHost: h\r\n"
    #expect(result("GET /\(String(repeating: "a", count: 19)) \(host)\r\n").hasSuffix("keep"))
    #expect(result("GET /\(String(repeating: "a", count: 20)) \(host)\r\n") == "failed 414 target_too_long")
    #expect(result("GET / \(host)A: 1\r\nB: 2\r\n\r\n").hasSuffix("keep"))
    #expect(result("GET / \(host)A: 1\r\nB: 2\r\nC: 3\r\n\r\n") == "failed 431 head_too_large")
    let used = "GET / \(host)A: \r\n\r\n".utf8.count
    #expect(result("GET / \(host)A: \(String(repeating: "a", count: 200 - used))\r\n\r\n").hasSuffix("keep"))
    #expect(result("GET / \(host)A: \(String(repeating: "a", count: 201 - used))\r\n\r\n") == "failed 431 head_too_large")
    #expect(result("POST / \(host)Content-Length: 10\r\n\r\n0123456789").hasSuffix("0123456789"))
    #expect(result("POST / \(host)Content-Length: 11\r\n\r\n") == "failed 413 body_too_large")
    #expect(result("POST / \(host)Content-Length: 99999999999999999999999\r\n\r\n") == "failed 413 body_too_large")
    let chunked = "POST / \(host)Transfer-Encoding: chunked\r\n\r\n"
    #expect(result(chunked + "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n").hasSuffix("0123456789"))
    #expect(result(chunked + "5\r\n01234\r\n6\r\n") == "failed 413 body_too_large")
    #expect(result(chunked + "000000000\r\n") == "failed 400 bad_request")
    #expect(result(chunked + "1;\(String(repeating: "x", count: 4096))\r\nx\r\n0\r\n\r\n").hasSuffix("keep x"))
    #expect(result(chunked + "1;\(String(repeating: "x", count: 4096))\r\nx\r\n0;\r\n;\r\n\r\n") == "failed 400 bad_request")
    #expect(result(chunked + "0\r\nX: \(String(repeating: "x", count: 4096))\r\n\r\n") == "failed 431 head_too_large")
    #expect(result(chunked + "0\r\n\(String(repeating: "X: y\r\n", count: 33))\r\n") == "failed 431 head_too_large")
  }

  @Test func expectationIsShown() {
    let head = message("POST / HTTP/1.1", "Host: h", "Expect: 100-Continue", "Content-Length: 2")
    func send(_ bytes: [UInt8], to parser: RequestParser) -> Request? {
      var offset = 0
      guard case .request(let request) = bytes.withUnsafeBytes({ parser.receive($0, from: &offset) }) else { return nil }
      return request
    }
    let parser = RequestParser()
    #expect(send(head, to: parser) == nil)
    #expect(parser.wantsContinue && !parser.isIdle)
    #expect(parser.pending.map { text($0.path) } == "/")
    parser.continued()
    #expect(!parser.wantsContinue)
    #expect(send(Array("hi".utf8), to: parser).map { text($0.body) } == "hi")
    #expect(parser.isIdle && parser.pending == nil)
    // The body came without waiting.
    #expect(send(head + Array("h".utf8), to: parser) == nil)
    #expect(!parser.wantsContinue)
    #expect(send(Array("i".utf8), to: parser) != nil)
    // HTTP/1.0 has no 100.
    let old = RequestParser()
    #expect(send(message("POST / HTTP/1.0", "Expect: 100-continue", "Content-Length: 2"), to: old) == nil)
    #expect(!old.wantsContinue)
  }

  @Test func parts() throws {
    let request = try parsed(
      "GET /a?x=1&x=%32&y&z=a+b%2Bc&bad=%4&=e HTTP/1.1",
      ["Origin: https://o", "Authorization: bearer  abc.def ", "Cookie: a=1; session=\"s 1\"; b"])
    #expect(text(try #require(request.origin)) == "https://o")
    #expect(text(try #require(request.bearer)) == "abc.def")
    #expect(text(try #require(request.cookie("session"))) == "s 1")
    #expect(text(try #require(request.cookie("a"))) == "1")
    #expect(request.cookie("b") == nil && request.cookie("c") == nil)
    #expect(request.query.values(of: "x").map { text($0) } == ["1", "2"])
    #expect(request.query.value(of: "y") == [] && request.query.value(of: "w") == nil)
    #expect(text(request.query.value(of: "z") ?? []) == "a b+c")
    #expect(text(request.query.value(of: "bad") ?? []) == "%4")
    #expect(try parsed("GET / HTTP/1.1", ["Authorization: Basic abc"]).bearer == nil)
    #expect(try parsed("GET / HTTP/1.1", ["Authorization: Bearer a b"]).bearer == nil)
    let many = (0..<300).map { "k=\($0)" }.joined(separator: "&")
    #expect(try parsed("GET /?\(many) HTTP/1.1").query.values(of: "k").count == Query.maxPairs)
  }
}

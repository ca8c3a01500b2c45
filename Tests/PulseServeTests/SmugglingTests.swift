// SPDX-License-Identifier: Apache-2.0
import PulseServe
import Testing

/// Requests whose end, host or path two readers could see differently. Behind each stands a request that must never be
/// served.
struct SmugglingTests {
  private static let post = "POST / HTTP/1.1\r\nHost: h\r\n"
  private static let chunked = post + "Transfer-Encoding: chunked\r\n\r\n"

  static let forms: [String] = [
    // Two lengths
    post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    post + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    post + "Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello",
    post + "Content-Length: 5, 5\r\n\r\nhello",
    post + "Content-Length: 5,\r\n\r\nhello",
    // A length that is none
    post + "Content-Length: +5\r\n\r\nhello", post + "Content-Length: -5\r\n\r\nhello",
    post + "Content-Length: 0x5\r\n\r\nhello", post + "Content-Length: 5 5\r\n\r\nhello",
    post + "Content-Length:\r\n\r\nhello", post + "Content-Length: 5.0\r\n\r\nhello",
    post + "Content-Length: 05\r\n\r\nhello", post + "Content-Length: 1e1\r\n\r\nhello",
    post + "Content-Length: 5;\r\n\r\nhello", post + "Content-Length: \"5\"\r\n\r\nhello",
    post + "Content-Length: 18446744073709551621\r\n\r\nhello",
    post + "Content-Length : 5\r\n\r\nhello", post + "Content-Length\t: 5\r\n\r\nhello",
    post + " Content-Length: 5\r\n\r\nhello", post + "Content-Length\r\n\r\nhello",
    post + "Content_Length: 5\r\n\r\nhello", post + "\u{0}Content-Length: 5\r\n\r\nhello",
    post + "Content-Length:\u{0B}5\r\n\r\nhello",
    // A coding that is nearly one
    post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    post + "Transfer-Encoding: identity\r\n\r\n", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    post + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", post + "Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    post + "Transfer-Encoding:\u{0B}chunked\r\n\r\n0\r\n\r\n", post + "Transfer-Encoding: chunked\u{0}\r\n\r\n0\r\n\r\n",
    post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", post + "Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n",
    post + "X: y\r\n Transfer-Encoding: chunked\r\n\r\n", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    post + "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n", post + "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    post + "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", post + "Transfer-Encoding: c\u{212A}unked\r\n\r\n",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    // Chunks
    chunked + "0x5\r\nhello\r\n0\r\n\r\n", chunked + "+5\r\nhello\r\n0\r\n\r\n", chunked + "-5\r\nhello\r\n0\r\n\r\n",
    chunked + " 5\r\nhello\r\n0\r\n\r\n", chunked + "5 \r\nhello\r\n0\r\n\r\n", chunked + "5\t;a\r\nhello\r\n0\r\n\r\n",
    chunked + "5\nhello\r\n0\r\n\r\n", chunked + "5\rhello\r\n0\r\n\r\n", chunked + "\r\n", chunked + ";a\r\n",
    chunked + "5\r\nhello0\r\n\r\n", chunked + "5\r\nhello\n0\r\n\r\n", chunked + "5\r\nhello\r0\r\n\r\n",
    chunked + "5\r\nhelloX\r\n0\r\n\r\n", chunked + "4\r\nhello\r\n0\r\n\r\n", chunked + "5;a\nhello\r\n0\r\n\r\n",
    chunked + "5;a\rb\r\nhello\r\n0\r\n\r\n", chunked + "5;\u{0}\r\nhello\r\n0\r\n\r\n",
    chunked + "FFFFFFFFFFFFFFFB\r\nhello\r\n0\r\n\r\n", chunked + "100000005\r\nhello\r\n0\r\n\r\n",
    chunked + "g\r\n", chunked + "5_0\r\nhello\r\n0\r\n\r\n",
    // Trailers
    chunked + "0\r\nX\r\n\r\n", chunked + "0\r\nX : y\r\n\r\n", chunked + "0\r\n X: y\r\n\r\n", chunked + "0\r\nX: y\n\r\n",
    chunked + "0\n\r\n", chunked + "0\r\n\n", chunked + "0\r\n\rX", chunked + "0\r\nX: y\r\n z\r\n\r\n",
    // Lines
    "GET / HTTP/1.1\nHost: h\n\n", "GET / HTTP/1.1\r\nHost: h\n\r\n", "GET / HTTP/1.1\rHost: h\r\r",
    "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "GET /\tHTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.1 HTTP/1.1\r\nHost: h\r\n\r\n", "GET / http/1.1\r\nHost: h\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nX: \u{0}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{7F}\r\n\r\n", "GET / HTTP/01.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.10\r\nHost: h\r\n\r\n",
    // Hosts and targets
    "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n", "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", "GET h/a HTTP/1.1\r\nHost: h\r\n\r\n", "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
    "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", "GET ?a HTTP/1.1\r\nHost: h\r\n\r\n",
    // What one connection alone must not say, and what there must not be two of
    post + "Connection: close, Content-Length\r\nContent-Length: 5\r\n\r\nhello",
    post + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: host\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nOrigin: a\r\nOrigin: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    // Upgrades with a body
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\nhello",
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ]

  @Test(arguments: forms) func isRefused(_ form: String) {
    let bytes = Array(form.utf8) + message("GET /smuggled HTTP/1.1", "Host: h")
    let whole = Conversation(bytes)
    #expect(whole.results.count == 1 && whole.results.first?.hasPrefix("failed ") == true, "\(whole.results)")
    for cuts in cuts(of: bytes.count) {
      let cut = Conversation(bytes, cuts: cuts)
      if cut != whole {
        Issue.record("cut as \(cuts.prefix(2)): \(cut.results) \(cut.used) instead of \(whole.results) \(whole.used)")
        return
      }
    }
  }

  /// The forms beside them that are fine, so that the table can't pass by refusing everything.
  @Test(arguments: [
    post + "Content-Length: 5\r\n\r\nhello", post + "Content-Length:5 \r\n\r\nhello", chunked + "5\r\nhello\r\n0\r\n\r\n",
    chunked + "5;a\r\nhello\r\n0\r\n\r\n", post + "Transfer-Encoding:\tCHUNKED\t\r\n\r\n05\r\nhello\r\n0\r\nX: y\r\n\r\n",
    post + "X: y\t z\r\nContent-Length: 5\r\n\r\nhello",
  ]) func isServed(_ form: String) {
    let whole = Conversation(Array(form.utf8) + message("GET /next HTTP/1.1", "Host: h"))
    #expect(whole.results == ["POST / keep hello", "GET /next keep"], "\(whole.sentence)")
  }

  @Test func unknownCodingIsNotImplemented() {
    #expect(Conversation(Array((Self.post + "Transfer-Encoding: gzip\r\n\r\n").utf8)).results == ["failed 501 not_implemented"])
  }
}

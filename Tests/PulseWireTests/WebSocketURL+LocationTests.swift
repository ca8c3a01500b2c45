// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseWire

@Suite struct LocationTests {
  private func url(_ text: String) throws -> WebSocketURL { try WebSocketURL.parse(text).get() }

  private func text(_ url: WebSocketURL) -> String {
    (url.isSecure ? "wss://" : "ws://") + url.hostHeader + url.target
  }

  /// From ws://h/a/b/c?q, RFC 3986 §5.4 among others.
  @Test(arguments: [
    ("/x", "ws://h/x"), ("/x?y=1", "ws://h/x?y=1"), ("x", "ws://h/a/b/x"), ("./x", "ws://h/a/b/x"),
    ("x/", "ws://h/a/b/x/"),
    ("../x", "ws://h/a/x"), ("../../x", "ws://h/x"), ("../../../x", "ws://h/x"), ("../../../../x", "ws://h/x"),
    (".", "ws://h/a/b/"), ("./", "ws://h/a/b/"), ("..", "ws://h/a/"), ("../", "ws://h/a/"), ("x/./y", "ws://h/a/b/x/y"),
    ("x/../y", "ws://h/a/b/y"), ("/./x", "ws://h/x"), ("/../x", "ws://h/x"), ("x.", "ws://h/a/b/x."),
    ("..x", "ws://h/a/b/..x"), ("x?a/../b", "ws://h/a/b/x?a/../b"), ("?y", "ws://h/a/b/c?y"), ("", "ws://h/a/b/c?q"),
    ("#f", "ws://h/a/b/c?q"), ("x#f", "ws://h/a/b/x"), ("/x#f?g", "ws://h/x"), ("//o/x", "ws://o/x"),
    ("//o:81?x", "ws://o:81/?x"), ("http://o/x", "ws://o/x"), ("HTTPS://O/x", "wss://o/x"), ("ws://o", "ws://o/"),
    ("wss://o:444/x/../y", "wss://o:444/y"), ("http://[::1]:80/", "ws://[::1]/"), ("a:b", "no"), ("/a:b", "ws://h/a:b"),
    ("./a:b", "ws://h/a/b/a:b"), ("1:b", "ws://h/a/b/1:b"), ("?x:y", "ws://h/a/b/c?x:y"), ("/a//b", "ws://h/a//b"),
    ("//o/a//../b", "ws://o/a/b"),
    ("http:/x", "no"), ("http:x", "no"), ("ftp://o/", "no"), ("javascript:alert(1)", "no"),
    ("file:///etc/passwd", "no"),
    ("//", "no"), ("http://", "no"), ("//u:p@o/", "no"), ("http://@o/", "no"), ("ws://u@o/", "no"),
    ("http://o:0/", "no"),
    ("http://o:99999/", "no"), ("/a b", "no"), ("/a\r\nX: y", "no"), ("/\u{0}", "no"), ("/\u{7f}", "no"),
    ("/\u{e9}", "no"),
    ("/%", "no"), ("/%0", "no"), ("/\\x", "no"), ("http://o\\@p/", "no"), ("http://1.2.3/", "no"),
    ("//o/x@y", "ws://o/x@y"),
  ])
  func resolves(_ location: String, _ expected: String) throws {
    switch try url("ws://h/a/b/c?q").resolving(location: location) {
    case .success(let found):
      #expect(text(found) == expected)
      #expect(found.credentials == nil)
    case .failure(let failure):
      expectPlain(failure.text)
      #expect(expected == "no", "\(failure.text)")
    }
  }

  @Test func neverFromTLSToPlain() throws {
    let secure = try url("wss://u:p@h:444/a")
    for location in ["ws://h:444/", "http://h/", "http://other/"] {
      guard case .failure(let failure) = secure.resolving(location: location) else {
        return _ = Issue.record("\(location) is followed")
      }
      #expect(failure.text == "it leads from wss to ws, which would give away what TLS protects")
    }
    for (location, expected) in [("/b", "wss://h:444/b"), ("//o/b", "wss://o/b"), ("https://o/b", "wss://o/b")] {
      let found = try secure.resolving(location: location).get()
      #expect(text(found) == expected && found.credentials == nil)
    }
  }

  @Test func long() throws {
    let base = try url("ws://h/")
    let most = "/" + String(repeating: "a", count: WebSocketURL.maxSize - 7)
    #expect(try base.resolving(location: most).get().target == most)
    let longer = String(repeating: "a", count: 100_000)
    for location in [most + "aa", "/" + longer, "#" + longer] {
      #expect(throws: URLFailure.self) { try base.resolving(location: location).get() }
    }
  }

  @Test func origins() throws {
    let base = try url("ws://h:80/a")
    #expect(base.hasSameOrigin(as: try url("ws://u:p@H/b?c")))
    for other in ["wss://h:80/a", "ws://h:81/a", "ws://h2/a", "wss://h/a"] {
      #expect(!base.hasSameOrigin(as: try url(other)))
    }
    #expect(base.isSameRequest(as: try url("ws://H/a")))
    for other in ["ws://h/a?", "ws://h/A", "ws://g/a"] { #expect(!base.isSameRequest(as: try url(other))) }
    for status in [301, 302, 303, 307, 308] { #expect(WebSocketURL.isRedirect(status: status)) }
    for status in [200, 300, 304, 305, 306, 309, 400, 101] { #expect(!WebSocketURL.isRedirect(status: status)) }
  }

  @Test func anAnswerThatLeadsElsewhereIsCompleteWithItsHead() {
    let key = [UInt8](repeating: 1, count: 16)
    for (text, stops, isComplete) in [
      ("302 F\r\nLocation: /x", true, true), ("302 F\r\nLocation: /x", false, false), ("302 F", true, false),
      ("300 F\r\nLocation: /x", true, false),
    ] {
      let parser = UpgradeResponseParser(key: key, subprotocols: [], offer: nil, stopsAtRedirects: stops)
      let answer = "HTTP/1.1 \(text)\r\nContent-Length: 5\r\n\r\n"
      let progress = Array(answer.utf8).withUnsafeBytes { parser.receive($0) }
      if case .refused(let refusal) = progress {
        #expect(isComplete && refusal.status == 302 && refusal.headers.count == 2)
      } else {
        #expect(!isComplete)
      }
    }
  }
}

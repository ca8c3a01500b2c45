// SPDX-License-Identifier: Apache-2.0
import PulseServe
import PulseText
import PulseWire
import Testing

struct RouteTableTests {
  private static let upgrade = ["Upgrade: websocket", "Connection: Upgrade"]

  private static func table() -> RouteTable {
    var table = RouteTable()
    func add(
      _ path: String, isPrefix: Bool = false, _ kind: RouteTable.Kind, methods: Methods = .get, isHidden: Bool = false, route: Int
    ) {
      #expect(table.add(Array(path.utf8), isPrefix: isPrefix, kind, methods: methods, isHidden: isHidden, route: route) == nil)
    }
    add("/ws", .webSocket, route: 1)
    add("/ws/prices", .webSocket, route: 2)
    add("/status", .http, route: 3)
    add("/publish", .http, methods: [.post, .put], route: 4)
    add("/publish", .http, methods: .get, route: 5)
    add("/static/", isPrefix: true, .http, route: 6)
    add("/static/deep/", isPrefix: true, .http, route: 7)
    add("/static/exact", .http, route: 8)
    add("/hook/s3cret", .http, methods: .post, isHidden: true, route: 9)
    add("/both", .http, route: 10)
    add("/both", .webSocket, route: 11)
    return table
  }

  private static func match(_ method: String, _ path: String, ws: Bool = false) throws -> RouteTable.Match {
    table().match(try parsed("\(method) \(path) HTTP/1.1", ws ? upgrade : []))
  }

  private static func refusal(_ method: String, _ path: String, ws: Bool = false) throws -> Refusal {
    guard case .refused(let refusal) = try match(method, path, ws: ws) else { throw Failed(text: "\(path) is served") }
    return refusal
  }

  @Test(arguments: [
    ("GET", "/ws", true, 1, 3), ("GET", "/ws/prices?x", true, 2, 10), ("GET", "/status", false, 3, 7), ("HEAD", "/status", false, 3, 7),
    ("POST", "/publish", false, 4, 8), ("PUT", "/publish", false, 4, 8), ("GET", "/publish", false, 5, 8),
    ("GET", "/static/", false, 6, 8), ("GET", "/static/a/b", false, 6, 8), ("GET", "/static/deep/x", false, 7, 13),
    ("GET", "/static/exact", false, 8, 13), ("GET", "/static/x/../exact", false, 8, 13), ("POST", "/hook/s3cret", false, 9, 12),
    ("GET", "/both", false, 10, 5), ("GET", "/both", true, 11, 5),
  ]) func isFound(_ method: String, _ path: String, _ ws: Bool, _ route: Int, _ rest: Int) throws {
    guard case .route(let found, let at) = try Self.match(method, path, ws: ws) else {
      Issue.record("not found: \(path)")
      return
    }
    #expect(found == route && at == rest)
  }

  @Test(arguments: [
    ("/ws/", true, #""/ws" has no slash at its end"#), ("/static", false, #""/static/" has a slash at its end"#),
    ("/WS", true, #""/ws" differs in upper and lower case"#), ("/Static/a", false, #""/static/" differs in upper and lower case"#),
    ("/wss", true, #""/ws" is spelled nearly so"#), ("/ws/prcies", true, #""/ws/prices" is spelled nearly so"#),
    ("/ws/prics", true, #""/ws/prices" is spelled nearly so"#), ("/sttaus", false, #""/status" is spelled nearly so"#),
    ("/sttas", false, #""/status" is spelled nearly so"#), ("/statik/a.js", false, #""/static/" is spelled nearly so"#),
    ("/Status/", true, #""/status" is spelled nearly so, and is for plain HTTP"#),
    ("/ws/price", false, #""/ws/prices" is spelled nearly so, and is for WebSocket"#),
    ("/nothing/like/it", false, #"there is no path "/nothing/like/it" here"#), ("/x", true, #"there is no path "/x" here"#),
    ("/hook/s3cre", false, #"there is no path "/hook/s3cre" here"#), ("/hook/S3CRET", false, #"there is no path "/hook/S3CRET" here"#),
    ("/%C3%A9", false, #"there is no path "/\xC3\xA9" here"#),
  ]) func namesTheNearestCause(_ path: String, _ ws: Bool, _ end: String) throws {
    let refusal = try Self.refusal("GET", path, ws: ws)
    #expect(refusal.status == 404 && "\(refusal.code)" == "no_such_path" && refusal.closeCode == 4040)
    #expect(text(refusal.message).hasSuffix(end), "\(text(refusal.message))")
    expectPlain(text(refusal.message))
  }

  @Test func wrongKind() throws {
    let plain = try Self.refusal("GET", "/ws")
    #expect(plain.status == 426 && "\(plain.code)" == "upgrade_required")
    let answer = Answer(plain.encode(to: try parsed("GET /ws HTTP/1.1"), requestID: "r", date: 0))
    #expect(answer["upgrade"] == "websocket" && answer["connection"] == "Upgrade, keep-alive")
    guard case .refused(let stripped) = Self.table().match(try parsed("GET /ws HTTP/1.1", ["Sec-WebSocket-Key: x"])) else {
      Issue.record("served")
      return
    }
    #expect(text(stripped.message).contains("a proxy in between"))

    let ws = try Self.refusal("GET", "/status", ws: true)
    #expect(ws.status == 404 && "\(ws.code)" == "not_a_websocket_path" && ws.closeCode == 4040 && ws.closes)
    #expect(text(ws.message).contains("plain HTTP"))
    #expect(try Self.refusal("GET", "/static/a", ws: true).status == 404)
    #expect(!text(try Self.refusal("GET", "/hook/s3cret", ws: true).message).contains("s3cret"))
  }

  /// A folder served at the root does not hide what a WebSocket path was meant to be.
  @Test func prefixOfEverything() throws {
    var table = RouteTable()
    #expect(table.add(Array("/".utf8), isPrefix: true, .http, route: 1) == nil)
    #expect(table.add(Array("/prices".utf8), .webSocket, route: 2) == nil)
    guard case .refused(let near) = table.match(try parsed("GET /prizes HTTP/1.1", Self.upgrade)),
      case .refused(let plain) = table.match(try parsed("GET /prices HTTP/1.1")),
      case .refused(let far) = table.match(try parsed("GET /else HTTP/1.1", Self.upgrade)),
      case .route(1, rest: 1) = table.match(try parsed("GET /index.html HTTP/1.1"))
    else {
      Issue.record("another match")
      return
    }
    #expect(text(near.message).contains("\"/prices\" is spelled nearly so"))
    #expect(plain.status == 426)
    #expect("\(far.code)" == "not_a_websocket_path")
  }

  @Test func wrongMethod() throws {
    let refusal = try Self.refusal("DELETE", "/publish")
    #expect(refusal.status == 405)
    #expect(refusal.headers.first { $0.name == "Allow" }?.value == "GET, HEAD, POST, PUT")
    #expect(try Self.refusal("BREW", "/status").headers.first?.value == "GET, HEAD")
    #expect(try Self.refusal("POST", "/ws", ws: true).headers.first?.value == "GET")
    #expect(Self.table().methods(of: Array("/publish".utf8)) == [.get, .head, .post, .put])
    #expect(Self.table().methods(of: Array("/ws".utf8)) == [])
  }

  @Test(arguments: ["", "x", "/a//b", "/a/../b", "/a\u{0}", "/a\\b", "/" + String(repeating: "a", count: 1024)])
  func pathsThatCannotBe(_ path: String) {
    var table = RouteTable()
    expectPlain(table.add(Array(path.utf8), .http, route: 1) ?? "")
  }

  @Test func twice() {
    var table = Self.table()
    #expect(table.add(Array("/ws".utf8), .webSocket, route: 1)?.contains("twice") == true)
    #expect(table.add(Array("/publish".utf8), .http, methods: [.put, .patch], route: 1)?.contains("twice") == true)
    #expect(table.add(Array("/nope".utf8), isPrefix: true, .http, route: 1) != nil)
    #expect(table.add(Array("/a b/\u{E9}".utf8), .http, route: 1) == nil)
  }
}

// SPDX-License-Identifier: Apache-2.0
import PulseServe
import PulseText
import PulseWire
import Testing

struct CORSTests {
  private static func cors(_ origins: String...) -> CORS {
    var cors = CORS()
    for origin in origins { #expect(cors.allow(Array(origin.utf8)) == nil) }
    return cors
  }

  private static func allows(_ cors: CORS, _ origin: String) -> Bool { cors.allows(Array(origin.utf8)[...]) }

  private static func value(_ headers: [HTTPHeader], _ name: String) -> String? { headers.first { $0.name == name }?.value }

  @Test func exact() {
    let cors = Self.cors("https://a.example", "http://localhost:8080", "HTTPS://B.example:443")
    for origin in ["https://a.example", "http://localhost:8080", "https://b.example"] { #expect(Self.allows(cors, origin)) }
    for origin in [
      "", "null", "http://a.example", "https://a.example.evil", "https://a.example/", "https://xa.example", "https://a.example:444",
      "http://localhost", "https://b.example:443", "https://sub.a.example",
    ] { #expect(!Self.allows(cors, origin), "\(origin)") }
    #expect(!Self.allows(CORS(), "https://a.example"))
  }

  @Test func all() {
    let cors = Self.cors("*")
    #expect(Self.allows(cors, "https://anybody") && !Self.allows(cors, "null") && !Self.allows(cors, ""))
    let headers = cors.headers(for: Array("https://anybody".utf8)[...])
    #expect(headers.count == 1 && Self.value(headers, "Access-Control-Allow-Origin") == "*")
  }

  @Test(arguments: ["", "null", "a.example", "https://", "https://a/b", "https://a/", "wss://a", "https://u@a", "https://a\r\nb"])
  func originsThatCannotBe(_ origin: String) {
    var cors = CORS()
    expectPlain(cors.allow(Array(origin.utf8)) ?? "")
  }

  @Test func headers() {
    let cors = Self.cors("https://a.example")
    let good = cors.headers(for: Array("https://a.example".utf8)[...])
    #expect(Self.value(good, "Access-Control-Allow-Origin") == "https://a.example" && Self.value(good, "Vary") == "Origin")
    for origin in [nil, Array("https://b.example".utf8)[...]] {
      let none = cors.headers(for: origin)
      #expect(Self.value(none, "Access-Control-Allow-Origin") == nil && Self.value(none, "Vary") == "Origin")
    }
    #expect(CORS().headers(for: nil).isEmpty)
  }

  @Test func preflights() throws {
    let cors = Self.cors("https://a.example")
    func preflight(_ line: String, _ headers: [String]) throws -> Result<Response, Refusal>? {
      cors.preflight(try parsed(line, headers), methods: [.get, .head, .post])
    }
    let asked = "Access-Control-Request-Method: POST"
    let good = try #require(try preflight("OPTIONS /p HTTP/1.1", ["Origin: https://a.example", asked]))
    let response = try good.get()
    #expect(response.status == 204 && response.problem == nil)
    #expect(Self.value(response.headers, "Access-Control-Allow-Methods") == "GET, HEAD, POST")
    #expect(Self.value(response.headers, "Access-Control-Allow-Origin") == "https://a.example")
    #expect(Self.value(response.headers, "Access-Control-Max-Age") == "600")
    guard case .failure(let origin) = try preflight("OPTIONS /p HTTP/1.1", ["Origin: https://b.example", asked]),
      case .failure(let method) = try preflight(
        "OPTIONS /p HTTP/1.1", ["Origin: https://a.example", "Access-Control-Request-Method: DELETE"])
    else {
      Issue.record("allowed")
      return
    }
    #expect(origin.status == 403 && "\(origin.code)" == "origin_forbidden" && method.status == 405)
    #expect(try preflight("OPTIONS /p HTTP/1.1", [asked]) == nil)
    #expect(try preflight("OPTIONS /p HTTP/1.1", ["Origin: https://a.example"]) == nil)
    #expect(try preflight("GET /p HTTP/1.1", ["Origin: https://a.example", asked]) == nil)
  }
}

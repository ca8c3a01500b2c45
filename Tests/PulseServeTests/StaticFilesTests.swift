// SPDX-License-Identifier: Apache-2.0
import PulseServe
import PulseText
import PulseWire
import Testing

struct StaticFilesTests {
  static let now: Int64 = 784_111_777
  static let file = FileFacts(size: 100, modified: (now - 1000) * 1_000_000_000 + 5, inode: 0xABC)
  static let modified = "Sun, 06 Nov 1994 08:32:57 GMT"

  private static func relative(_ path: String, _ rest: Int) -> String? {
    guard case .success(let relative) = StaticFiles.relativePath(Array(path.utf8), rest: rest) else { return nil }
    return text(relative)
  }

  @Test(arguments: [
    ("/static/", "index.html"), ("/static/a.js", "a.js"), ("/static/a/b.css", "a/b.css"), ("/static/a/", "a/index.html"),
    ("/static/a b/\u{E9}", "a b/\u{E9}"), ("/static/a.", "a."), ("/static/a..b", "a..b"),
  ]) func maps(_ path: String, _ expected: String) { #expect(Self.relative(path, 8) == expected) }

  @Test(arguments: [
    "/static/.git", "/static/.git/config", "/static/a/.env", "/static/..", "/static/../x", "/static/a/../b", "/static//etc/passwd",
    "/static/a//b", "/static/a\u{0}", "/static/a\\b", "/static/\u{A}", "/static/.", "/static/" + String(repeating: "a", count: 256),
    "/static/" + String(repeating: "ab/", count: 400),
  ]) func hides(_ path: String) {
    #expect(Self.relative(path, 8) == nil)
    #expect(Self.relative(path, path.utf8.count + 1) == nil && Self.relative(path, -1) == nil)
  }

  private static func answer(
    _ headers: [String] = [], method: String = "GET", name: String = "a.html", file: FileFacts = file
  ) throws -> (FileAnswer, Answer) {
    var files = StaticFiles()
    files.headers = [(name: "Server", value: "s")]
    let found = files.answer(try parsed("\(method) /\(name) HTTP/1.1", headers), relative: Array(name.utf8), file, date: now)
    let answer = Answer(found.head)
    #expect(answer.body == "" && answer.status == found.status)
    #expect(answer["x-content-type-options"] == "nosniff" && answer["referrer-policy"] == "no-referrer")
    #expect(answer["content-security-policy"]?.contains("default-src 'self'") == true && answer["server"] == "s")
    return (found, answer)
  }

  @Test(arguments: [
    ("a.html", "text/html; charset=utf-8"), ("A.CSS", "text/css; charset=utf-8"), ("a/b.js", "text/javascript; charset=utf-8"),
    ("a.mjs", "text/javascript; charset=utf-8"), ("a.js.map", "application/json"), ("a.json", "application/json"),
    ("a.svg", "image/svg+xml"),
    ("a.png", "image/png"), ("a.jpg", "image/jpeg"), ("a.webp", "image/webp"), ("a.ico", "image/x-icon"), ("a.woff2", "font/woff2"),
    ("a.wasm", "application/wasm"), ("a.txt", "text/plain; charset=utf-8"), ("a.csv", "text/csv; charset=utf-8"),
    ("a.xml", "application/xml"),
    ("html", "application/octet-stream"), ("a.html/b", "application/octet-stream"), ("a.", "application/octet-stream"),
    ("a.exe", "application/octet-stream"),
  ]) func mediaTypes(_ name: String, _ type: String) throws {
    #expect(try Self.answer(name: name).1["content-type"] == type)
  }

  @Test func whole() throws {
    let (found, answer) = try Self.answer()
    #expect(found.status == 200 && found.from == 0 && found.count == 100 && answer["content-length"] == "100")
    #expect(answer["last-modified"] == Self.modified && answer["accept-ranges"] == "bytes")
    let etag = try #require(answer["etag"])
    #expect(etag.hasPrefix("\"64-") && etag.hasSuffix("-abc\""))
    for change in [
      FileFacts(size: 101, modified: Self.file.modified, inode: 0xABC),
      FileFacts(size: 100, modified: Self.file.modified + 1, inode: 0xABC),
      FileFacts(size: 100, modified: Self.file.modified, inode: 0xABD),
    ] { #expect(try Self.answer(file: change).1["etag"] != etag) }
    let (head, headAnswer) = try Self.answer(method: "HEAD")
    #expect(head.count == 0 && headAnswer["content-length"] == "100" && headAnswer["etag"] == etag)
    #expect(try Self.answer(file: FileFacts(size: 0, modified: 0, inode: 0)).1["content-length"] == "0")
    #expect(try Self.answer(file: FileFacts(size: .min, modified: .min, inode: .max)).0.count == 0)
    // A time that is still to come could not be compared.
    #expect(try Self.answer(file: FileFacts(size: 1, modified: .max, inode: 0)).1["last-modified"] == "Sun, 06 Nov 1994 08:49:37 GMT")
  }

  @Test func conditions() throws {
    let etag = try #require(try Self.answer().1["etag"])
    let other = "\"x\""
    let earlier = "Sun, 06 Nov 1994 08:32:56 GMT"
    let table: [([String], Int)] = [
      (["If-None-Match: \(etag)"], 304), (["If-None-Match: W/\(etag)"], 304), (["If-None-Match: *"], 304),
      (["If-None-Match: \(other), \(etag)"], 304), (["If-None-Match: \(other)", "If-None-Match: \(etag)"], 304),
      (["If-None-Match: \(other)"], 200), (["If-None-Match:"], 200), (["If-Modified-Since: \(Self.modified)"], 304),
      (["If-Modified-Since: \(earlier)"], 200), (["If-Modified-Since: yesterday"], 200),
      (["If-None-Match: \(other)", "If-Modified-Since: \(Self.modified)"], 200),
      (["If-None-Match: \(etag)", "If-Modified-Since: \(earlier)"], 304), (["If-Match: \(etag)"], 200), (["If-Match: *"], 200),
      (["If-Match: \(other)"], 412), (["If-Match: W/\(etag)"], 412), (["If-Unmodified-Since: \(Self.modified)"], 200),
      (["If-Unmodified-Since: \(earlier)"], 412), (["If-Match: \(etag)", "If-Unmodified-Since: \(earlier)"], 200),
      (["If-None-Match: \(etag)", "Range: bytes=0-1"], 304),
    ]
    for (headers, status) in table {
      let (found, answer) = try Self.answer(headers)
      #expect(found.status == status, "\(headers)")
      #expect((found.count == 0) == (status != 200))
      if status == 304 { #expect(answer["etag"] == etag && answer["content-length"] == nil && answer["content-type"] == nil) }
      if status == 412 { #expect(answer["content-length"] == "0" && answer["etag"] == nil) }
    }
  }

  @Test(arguments: [
    ("bytes=0-0", 0, 1), ("bytes=0-99", 0, 100), ("bytes=0-1000", 0, 100), ("bytes=50-", 50, 50), ("bytes=99-", 99, 1), ("bytes=-1", 99, 1),
    ("bytes=-1000", 0, 100), ("BYTES=1-2", 1, 2), ("bytes=0-99999999999999999999999", 0, 100), ("bytes=-99999999999999999999999", 0, 100),
    ("bytes=9-9223372036854775807", 9, 91),
  ]) func ranges(_ range: String, _ from: Int, _ count: Int) throws {
    let (found, answer) = try Self.answer(["Range: \(range)"])
    #expect(found.status == 206 && found.from == Int64(from) && found.count == Int64(count))
    #expect(answer["content-range"] == "bytes \(from)-\(from + count - 1)/100" && answer["content-length"] == "\(count)")
  }

  @Test(arguments: ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"]) func noSuchRange(_ range: String) throws {
    let (found, answer) = try Self.answer(["Range: \(range)"])
    #expect(found.status == 416 && found.count == 0 && answer["content-range"] == "bytes */100" && answer["content-length"] == "0")
  }

  @Test(arguments: [
    "bytes=0-1,3-4", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "lines=0-1", "bytes 0-1", "bytes=+1-2", "bytes=1--2", "bytes=1-2-3",
  ]) func rangesThatArePassedOver(_ range: String) throws {
    let (found, answer) = try Self.answer(["Range: \(range)"])
    #expect(found.status == 200 && found.count == 100 && answer["content-range"] == nil)
  }

  @Test func rangeOnlyOfTheFileThatIsKnown() throws {
    let etag = try #require(try Self.answer().1["etag"])
    #expect(try Self.answer(["Range: bytes=0-1", "If-Range: \(etag)"]).0.status == 206)
    #expect(try Self.answer(["Range: bytes=0-1", "If-Range: \(Self.modified)"]).0.status == 206)
    #expect(try Self.answer(["Range: bytes=0-1", "If-Range: \"x\""]).0.status == 200)
    #expect(try Self.answer(["Range: bytes=0-1", "If-Range: W/\(etag)"]).0.status == 200)
    #expect(try Self.answer(["Range: bytes=0-1"], method: "HEAD").0.status == 200)
    #expect(try Self.answer(["Range: bytes=0-0"], file: FileFacts(size: 0, modified: 0, inode: 0)).0.status == 416)
  }

  @Test func folder() throws {
    let request = try parsed("GET /static/a%20b/%C3%A9?x=1 HTTP/1.1")
    guard case .success(let bytes) = StaticFiles().redirectToFolder(request).encode(to: request, date: 0) else {
      Issue.record("no answer")
      return
    }
    let answer = Answer(bytes)
    #expect(answer.status == 301 && answer["location"] == "/static/a%20b/%C3%A9/?x=1")
  }
}

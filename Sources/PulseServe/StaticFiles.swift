// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// What the owner knows of a file that it has opened.
package struct FileFacts: Equatable, Sendable {
  package var size: Int64
  /// The time of its last change, in ns since 1970.
  package var modified: Int64
  package var inode: UInt64

  package init(size: Int64, modified: Int64, inode: UInt64) {
    self.size = size
    self.modified = modified
    self.inode = inode
  }
}

/// The answer to a request for a file: the head, and which bytes of the file follow it.
package struct FileAnswer {
  package let status: Int
  package let head: [UInt8]
  package let from: Int64
  /// 0 where nothing follows.
  package let count: Int64
}

/// The files beneath a folder, served beneath a prefix. It touches no file: the owner opens the one it names, beneath the
/// folder and without following links out of it, and says what it found.
package struct StaticFiles {
  private static let maxSegmentSize = 255
  private static let maxPathSize = 1024
  private static let index: Literal = "index.html"

  /// For scripts of the page's own origin only; also what `connect-src` allows follows from it.
  package var contentSecurityPolicy: String =
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
  /// Caches ask again, and mostly get a 304.
  package var cacheControl: String = "no-cache"
  /// Of every answer: CORS, Server.
  package var headers: [HTTPHeader] = []

  package init() {}

  /// The path beneath the folder for what is behind the prefix at `rest` of a request's path: relative, without "." and
  /// "..", without files and folders that begin with a dot, "index.html" for a folder. What may be there but is not
  /// served looks as what is not there.
  @inline(never) package static func relativePath(_ path: [UInt8], rest: Int) -> Result<[UInt8], Refusal> {
    guard rest >= 0, rest <= path.count, path.count - rest <= maxPathSize else { return .failure(noFile(path)) }
    var relative: [UInt8] = []
    for segment in Pieces(path[rest...], separator: UInt8(ascii: "/")) {
      let isLast = segment.endIndex == path.count
      if segment.first == UInt8(ascii: ".") || segment.count > maxSegmentSize || (segment.isEmpty && !isLast) {
        return .failure(noFile(path))
      }
      for byte in segment where byte < 0x20 || byte == 0x7F || byte == UInt8(ascii: "\\") { return .failure(noFile(path)) }
      if !relative.isEmpty { relative.add(UInt8(ascii: "/")) }
      if segment.isEmpty {
        relative.append(contentsOf: index.bytes)
      } else {
        relative.append(contentsOf: segment)
      }
    }
    return .success(relative)
  }

  /// The owner found no file of that name, or may not read it.
  @inline(never) package static func noFile(_ path: [UInt8]) -> Refusal {
    .noSuchPath("there is no file for the path \(quoted: path[...])")
  }

  /// The owner found a folder where a file was asked for: relative links of its page need the slash.
  @inline(never) package func redirectToFolder(_ request: Request) -> Response {
    var location = RequestPath.encoded(request.path[...])
    location.add(UInt8(ascii: "/"))
    if !request.query.raw.isEmpty {
      location.add(UInt8(ascii: "?"))
      location.append(contentsOf: request.query.raw)
    }
    var headers = headers
    headers.add("Location", String(bytes: location))
    return Response(301, headers: headers)
  }

  /// The answer for a file: 200, 206, 304, 412 or 416 (RFC 9110 §13, §14). `relative` is the path that `relativePath` gave.
  @inline(never) package func answer(
    _ request: Request, relative: [UInt8], _ file: FileFacts, date: Int64, keepsAlive: Bool = true
  ) -> FileAnswer {
    let conditions = Conditions(request, file, now: date)
    let response = Response(200, contentType: MediaType.of(relative[...]), headers: headers)
    var range: Range<Int64> = 0..<max(file.size, 0)
    switch conditions.verdict {
    case .whole: break
    case .notModified: response.status = 304
    case .failed: response.status = 412
    case .part(let part):
      response.status = 206
      range = part
      response.headers.add(
        "Content-Range", Self.contentRange("\(Int(part.lowerBound))-\(Int(part.upperBound - 1))", file.size))
    case .unsatisfiable:
      response.status = 416
      response.headers.add("Content-Range", Self.contentRange("*", file.size))
    }
    let hasBody = response.status == 200 || response.status == 206
    if !hasBody { range = 0..<0 }
    if response.status != 412, response.status != 416 {
      response.headers.add("ETag", String(bytes: conditions.etag))
      response.headers.add("Last-Modified", String(bytes: HTTPDate.text(conditions.modified)))
      response.headers.add("Accept-Ranges", "bytes")
      response.headers.add("Cache-Control", cacheControl)
    }
    response.headers.add("X-Content-Type-Options", "nosniff")
    response.headers.add("Content-Security-Policy", contentSecurityPolicy)
    response.headers.add("Referrer-Policy", "no-referrer")
    let count = range.upperBound - range.lowerBound
    let head = response.encodeHead(to: request, length: count, date: date, keepsAlive: keepsAlive)
    return FileAnswer(status: response.status, head: head, from: range.lowerBound, count: request.isHead ? 0 : count)
  }

  private static func contentRange(_ part: Sentence, _ size: Int64) -> String {
    sentence("bytes \(part)/\(Int(truncatingIfNeeded: max(size, 0)))")
  }
}

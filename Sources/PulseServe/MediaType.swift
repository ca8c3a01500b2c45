// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Media types by the ending of a file's name.
enum MediaType {
  private static var rows: TextTable {
    TextTable(
      """
      html\0text/html; charset=utf-8\0css\0text/css; charset=utf-8\0js\0text/javascript; charset=utf-8\0\
      mjs\0text/javascript; charset=utf-8\0map\0application/json\0json\0application/json\0svg\0image/svg+xml\0\
      png\0image/png\0jpg\0image/jpeg\0jpeg\0image/jpeg\0webp\0image/webp\0ico\0image/x-icon\0\
      woff2\0font/woff2\0wasm\0application/wasm\0txt\0text/plain; charset=utf-8\0csv\0text/csv; charset=utf-8\0\
      xml\0application/xml\0
      """, rows: 17, columns: 2)
  }

  @inline(never) static func of(_ path: ArraySlice<UInt8>) -> Literal {
    var start = path.endIndex
    while start > path.startIndex, path[start - 1] != UInt8(ascii: "."), path[start - 1] != UInt8(ascii: "/") { start -= 1 }
    if start > path.startIndex, path[start - 1] == UInt8(ascii: ".") {
      var rows = rows.rows
      while rows.next() != nil {
        if HTTPText.sameIgnoringCase(path[start...], rows.text(0)) { return rows.text(1) }
      }
    }
    return "application/octet-stream"
  }
}

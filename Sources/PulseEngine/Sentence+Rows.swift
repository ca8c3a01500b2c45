// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

extension Sentence.StringInterpolation {
  /// Ids in rows that follow each other, as events have them: [[1,3],[7,7]].
  @inline(never)
  package mutating func appendInterpolation(rows ids: Journal.Rows) {
    var comma: Literal = "["
    for row in ids.rows {
      appendInterpolation("\(comma)[\(row.first),\(row.last)]" as Sentence)
      comma = ","
    }
    appendInterpolation(ids.rows.isEmpty ? Literal("[]") : Literal("]"))
  }
}

// SPDX-License-Identifier: Apache-2.0

/// Rows of texts in one literal: each text ends with NUL, each row has the same number of them. It costs its bytes and no
/// code, where a switch over the rows takes instructions for every field.
package struct TextTable {
  private let start: UnsafePointer<UInt8>
  private let columns: Int

  package init(_ texts: Literal, columns: Int) {
    start = texts.start
    self.columns = columns
  }

  /// There must be such a row. A text lives as long as the process.
  @inline(never) package subscript(_ row: Int, _ column: Int) -> Literal {
    var next = start
    var left = row &* columns &+ column
    while left > 0 {
      if next.pointee == 0 { left &-= 1 }
      next += 1
    }
    return Literal(start: next)
  }
}

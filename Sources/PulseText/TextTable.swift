// SPDX-License-Identifier: Apache-2.0
import CPulseTexts

/// Rows of texts in one literal: each text ends with NUL, each row has the same number of them. It costs its bytes and no
/// code, where a switch over the rows takes instructions for every field.
package struct TextTable {
  private let start: UnsafePointer<UInt8>
  private let columns: Int
  private let count: Int

  package init(_ texts: Literal, rows: Int, columns: Int) {
    start = texts.start
    self.columns = columns
    count = rows
  }

  /// Of the table that CPulseTexts.h gives that number.
  package init(packed table: Int, rows: Int, columns: Int) {
    start = pulse_texts(Int32(truncatingIfNeeded: table))
    self.columns = columns
    count = rows
  }

  /// There must be such a row. A text lives as long as the process. All texts before it are passed over: whoever wants
  /// every row takes `rows`.
  package subscript(_ row: Int, _ column: Int) -> Literal {
    Literal(start: TextTable.pass(row &* columns &+ column, from: start))
  }

  package var rows: Rows { Rows(start: start, columns: columns, count: count) }

  @inline(never)
  fileprivate static func pass(_ texts: Int, from first: UnsafePointer<UInt8>) -> UnsafePointer<UInt8> {
    var next = first
    var left = texts
    while left > 0 {
      if next.pointee == 0 { left &-= 1 }
      next += 1
    }
    return next
  }

  /// One row after the other.
  package struct Rows {
    private var start: UnsafePointer<UInt8>
    private let columns: Int
    private let count: Int
    private var row = -1

    fileprivate init(start: UnsafePointer<UInt8>, columns: Int, count: Int) {
      self.start = start
      self.columns = columns
      self.count = count
    }

    /// Goes to the next row, or to the first; its place, or nil behind the last.
    package mutating func next() -> Int? {
      if row &+ 1 >= count { return nil }
      if row >= 0 { start = TextTable.pass(columns, from: start) }
      row &+= 1
      return row
    }

    /// Of the present row.
    package func text(_ column: Int) -> Literal { Literal(start: TextTable.pass(column, from: start)) }
  }
}

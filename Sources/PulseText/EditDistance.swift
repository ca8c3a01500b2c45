// SPDX-License-Identifier: Apache-2.0

/// The number of letters to add, drop or change to turn `a` into `b`; `limit` if it is that or more.
package func editDistance(_ a: [UInt8], _ b: [UInt8], limit: Int) -> Int {
  if a.count > b.count + limit || b.count > a.count + limit || b.count > 64 { return limit }
  var row = [Int](repeating: 0, count: b.count + 1)
  for j in 0...b.count { row[j] = j }
  for i in 0..<a.count {
    var diagonal = row[0]
    row[0] = i + 1
    for j in 0..<b.count {
      let change = diagonal + (a[i] == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      var least = change
      if row[j] + 1 < least { least = row[j] + 1 }
      if row[j + 1] + 1 < least { least = row[j + 1] + 1 }
      row[j + 1] = least
    }
  }
  return row[b.count] < limit ? row[b.count] : limit
}

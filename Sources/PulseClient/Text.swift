// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Small text helpers that work the same in Embedded Swift.

func text(_ string: StaticString) -> String {
  String(decoding: UnsafeBufferPointer(start: string.utf8Start, count: string.utf8CodeUnitCount), as: UTF8.self)
}

/// Byte for byte: no Unicode normalisation.
func equal(_ a: String, _ b: String) -> Bool {
  var left = a.utf8.makeIterator()
  var right = b.utf8.makeIterator()
  while true {
    let x = left.next()
    let y = right.next()
    if x != y { return false }
    if x == nil { return true }
  }
}

func equal(_ a: StaticString, _ b: String) -> Bool {
  var index = 0
  for byte in b.utf8 {
    if index >= a.utf8CodeUnitCount || a.utf8Start[index] != byte { return false }
    index += 1
  }
  return index == a.utf8CodeUnitCount
}

/// ASCII letters only.
func lowercased(_ text: String) -> String {
  var bytes = [UInt8](text.utf8)
  for index in 0..<bytes.count where bytes[index] >= 0x41 && bytes[index] <= 0x5A { bytes[index] |= 0x20 }
  return String(decoding: bytes, as: UTF8.self)
}

/// For a sentence: at most 64 bytes of the caller's text, control bytes and quotes as \xNN.
func quoted(_ text: String) -> String {
  var out: [UInt8] = []
  var count = 0
  let hex: StaticString = "0123456789abcdef"
  for byte in text.utf8 {
    if count == 64 {
      // Not in the middle of a character.
      while let last = out.last, last & 0xC0 == 0x80 { out.removeLast() }
      if let last = out.last, last >= 0xC0 { out.removeLast() }
      out.append(contentsOf: [0x2E, 0x2E, 0x2E])
      break
    }
    if byte < 0x20 || byte == 0x7F || byte == 0x22 || byte == 0x5C {
      out.append(contentsOf: [0x5C, 0x78, hex.utf8Start[Int(byte >> 4)], hex.utf8Start[Int(byte & 15)]])
    } else {
      out.append(byte)
    }
    count += 1
  }
  return String(decoding: out, as: UTF8.self)
}

/// Seconds with microseconds, for JSON.
func jsonSeconds(_ nanoseconds: Int64) -> String { sentence("\(seconds: nanoseconds)") }

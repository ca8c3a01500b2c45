// SPDX-License-Identifier: Apache-2.0

/// Finds the values of several paths in one pass over a message, each the same as `JSONPath.value` would find. It
/// allocates nothing while it reads. Not thread safe; its owner locks.
package final class FieldReader {
  /// What the paths are for. A message's key is what the paths of a group find, joined.
  package enum Group: Int {
    case key = 0
    case sequenceKey = 1
    case number = 2
  }

  package static let maxPaths = 32
  package static let maxKeySize = 256

  private struct Step {
    /// In `text`.
    var start: Int
    var size: Int
    /// -1 for what is no element's number.
    var index: Int
    var isName: Bool
  }

  /// An object or array around the one that is being read.
  private struct Frame {
    var open: UInt32
    /// Paths that end at the object or array inside.
    var whole: UInt32
    var start: Int
    var element: Int
    var isObject: Bool
  }

  private let text: UnsafeMutableRawPointer
  private let steps: UnsafeMutablePointer<Step>
  private let frames: UnsafeMutablePointer<Frame>
  private let values: UnsafeMutablePointer<UnsafeRawBufferPointer>
  private let scratch: UnsafeMutableRawPointer
  /// Where the steps of each path begin, and how many there are.
  private let firstStep: UnsafeMutablePointer<Int>
  private let stepCount: UnsafeMutablePointer<Int>
  private let groupMasks: (UInt32, UInt32, UInt32)
  private var readable: UInt32 = 0
  private let pathCount: Int

  /// The paths that the last `read` found, as bits: those of `keys` first, then `sequenceKeys`, then `numbers`.
  package private(set) var found: UInt32 = 0

  /// nil with more than `maxPaths` paths.
  package init?(keys: [JSONPath], sequenceKeys: [JSONPath], numbers: [JSONPath]) {
    let paths = keys + sequenceKeys + numbers
    if paths.count > FieldReader.maxPaths { return nil }
    pathCount = paths.count
    var size = 0
    var stepTotal = 0
    for path in paths {
      size &+= path.size
      stepTotal &+= path.stepCount
    }
    text = UnsafeMutableRawPointer.allocate(byteCount: size &+ 1, alignment: 1)
    steps = UnsafeMutablePointer<Step>.allocate(capacity: stepTotal &+ 1)
    frames = UnsafeMutablePointer<Frame>.allocate(capacity: JSONScanner.maxDepth)
    values = UnsafeMutablePointer<UnsafeRawBufferPointer>.allocate(capacity: paths.count &+ 1)
    values.initialize(repeating: UnsafeRawBufferPointer(start: nil, count: 0), count: paths.count &+ 1)
    scratch = UnsafeMutableRawPointer.allocate(byteCount: 2 &* FieldReader.maxKeySize, alignment: 8)
    firstStep = UnsafeMutablePointer<Int>.allocate(capacity: paths.count &+ 1)
    stepCount = UnsafeMutablePointer<Int>.allocate(capacity: paths.count &+ 1)
    let keyMask = (UInt32(1) << UInt32(keys.count)) &- 1
    let bothMask = (UInt32(1) << UInt32(keys.count &+ sequenceKeys.count)) &- 1
    let all = (UInt32(1) << UInt32(paths.count)) &- 1
    groupMasks = (keyMask, bothMask & ~keyMask, all & ~bothMask)
    var step = 0
    var place = 0
    for index in 0..<paths.count {
      firstStep[index] = step
      paths[index].forEachStep { name, isName, element in
        for byte in name {
          text.storeBytes(of: byte, toByteOffset: place, as: UInt8.self)
          place &+= 1
        }
        steps[step] = Step(start: place &- name.count, size: name.count, index: element, isName: isName)
        step &+= 1
      }
      stepCount[index] = step &- firstStep[index]
      // Nothing is nested deeper.
      if stepCount[index] <= JSONScanner.maxDepth { readable |= 1 << UInt32(index) }
    }
  }

  deinit {
    text.deallocate()
    steps.deallocate()
    frames.deallocate()
    values.deallocate()
    scratch.deallocate()
    firstStep.deallocate()
    stepCount.deallocate()
  }

  /// Looks for all paths; reads no further than to the last value. What `value`, `key` and `number` then give lies in
  /// the message.
  package func read(_ message: UnsafeRawBufferPointer) {
    found = 0
    var scanner = JSONScanner(message)
    let first = scanner.next()
    if first != UInt8(ascii: "{") && first != UInt8(ascii: "[") { return }
    var isObject = first == UInt8(ascii: "{")
    // Paths that may still be found, and those of them that may begin or go on with an item at this level.
    var open = fitting(readable, 0, isObject)
    var left = open
    var level = 0
    var element = 0
    var name = JSONString.empty
    if left == 0 || !scanner.enter() { return }
    while true {
      switch isObject ? scanner.nextMember(&name) : scanner.nextElement() {
      case .invalid: return
      case .end:
        left &= ~open
        if level == 0 || left == 0 { return }
        level &-= 1
        let frame = frames[level]
        if frame.whole != 0 {
          if !take(frame.whole, from: frame.start, &scanner) { return }
          left &= ~frame.whole
          if left == 0 { return }
        }
        open = frame.open
        element = frame.element
        isObject = frame.isObject
        continue
      case .item: break
      }
      let hits = open == 0 ? 0 : isObject ? named(name, open, level) : numbered(element, open, level)
      element &+= 1
      if hits == 0 {
        if !scanner.skipValue() { return }
        continue
      }
      // Of several members with one name the first counts.
      open &= ~hits
      let deeper = deeper(hits, level)
      let whole = hits & ~deeper
      let byte = scanner.next()
      let start = scanner.position
      if deeper != 0 {
        let opensObject = byte == UInt8(ascii: "{")
        let inside = opensObject || byte == UInt8(ascii: "[") ? fitting(deeper, level &+ 1, opensObject) : 0
        left &= ~(deeper & ~inside)
        if inside != 0 {
          if level >= JSONScanner.maxDepth || !scanner.enter() { return }
          frames[level] = Frame(open: open, whole: whole, start: start, element: element, isObject: isObject)
          level &+= 1
          open = inside
          element = 0
          isObject = opensObject
          continue
        }
      }
      if !scanner.skipValue() { return }
      if whole != 0 {
        if !take(whole, from: start, &scanner) { return }
        left &= ~whole
      }
      if left == 0 { return }
    }
  }

  /// Of the paths in `mask` those that go on below `level`.
  @inline(__always)
  private func deeper(_ mask: UInt32, _ level: Int) -> UInt32 {
    var result: UInt32 = 0
    var bits = mask
    while bits != 0 {
      let path = bits.trailingZeroBitCount
      if stepCount[path] > level &+ 1 { result |= 1 << UInt32(path) }
      bits &= bits &- 1
    }
    return result
  }

  /// Of the paths in `mask` those whose step at `level` fits an object, or an array.
  private func fitting(_ mask: UInt32, _ level: Int, _ isObject: Bool) -> UInt32 {
    var result: UInt32 = 0
    var bits = mask
    while bits != 0 {
      let path = bits.trailingZeroBitCount
      let step = firstStep[path] &+ level
      if isObject ? steps[step].isName : steps[step].index >= 0 { result |= 1 << UInt32(path) }
      bits &= bits &- 1
    }
    return result
  }

  @inline(__always)
  private func named(_ name: JSONString, _ mask: UInt32, _ level: Int) -> UInt32 {
    var hits: UInt32 = 0
    var bits = mask
    while bits != 0 {
      let path = bits.trailingZeroBitCount
      bits &= bits &- 1
      let step = steps + (firstStep[path] &+ level)
      let size = step.pointee.size
      if name.raw.count != size {
        if !name.hasEscapes || !name.equals(UnsafeRawBufferPointer(start: text + step.pointee.start, count: size)) {
          continue
        }
      } else if name.hasEscapes {
        if !name.equals(UnsafeRawBufferPointer(start: text + step.pointee.start, count: size)) { continue }
      } else if !isSame(name.raw, step.pointee.start) {
        continue
      }
      hits |= 1 << UInt32(path)
    }
    return hits
  }

  /// Names are short.
  @inline(__always)
  private func isSame(_ raw: UnsafeRawBufferPointer, _ start: Int) -> Bool {
    var at = 0
    while at < raw.count {
      if raw[at] != text.load(fromByteOffset: start &+ at, as: UInt8.self) { return false }
      at &+= 1
    }
    return true
  }

  private func numbered(_ element: Int, _ mask: UInt32, _ level: Int) -> UInt32 {
    var hits: UInt32 = 0
    var bits = mask
    while bits != 0 {
      let path = bits.trailingZeroBitCount
      bits &= bits &- 1
      if steps[firstStep[path] &+ level].index == element { hits |= 1 << UInt32(path) }
    }
    return hits
  }

  /// Notes what the scanner has passed as the value of the paths; false if it is none, as in 01 or truex.
  private func take(_ mask: UInt32, from start: Int, _ scanner: inout JSONScanner) -> Bool {
    let value = scanner.slice(from: start)
    let byte = scanner.next()
    if byte != UInt8(ascii: ",") && byte != UInt8(ascii: "}") && byte != UInt8(ascii: "]") { return false }
    found |= mask
    var bits = mask
    while bits != 0 {
      values[bits.trailingZeroBitCount] = value
      bits &= bits &- 1
    }
    return true
  }

  // MARK: What was found

  /// As it stands in the message: a string with its quotation marks. `path` counts through all groups.
  package func value(_ path: Int) -> UnsafeRawBufferPointer? {
    if path < 0 || path >= pathCount || found & (1 << UInt32(path)) == 0 { return nil }
    return values[path]
  }

  /// What the paths of the group found, joined by "/", strings without quotation marks; nil if there is nothing, or
  /// more than `maxKeySize` bytes. It is good until the next call for this group, and no longer than the message.
  package func key(_ group: Group) -> UnsafeRawBufferPointer? {
    var bits = found & mask(group)
    if bits == 0 { return nil }
    if bits & (bits &- 1) == 0 {
      let only = bare(values[bits.trailingZeroBitCount])
      return only.count <= FieldReader.maxKeySize ? only : nil
    }
    let out = scratch + (group == .key ? 0 : FieldReader.maxKeySize)
    var size = 0
    var isFirst = true
    while bits != 0 {
      let part = bare(values[bits.trailingZeroBitCount])
      bits &= bits &- 1
      if part.count &+ (isFirst ? 0 : 1) > FieldReader.maxKeySize &- size { return nil }
      if !isFirst {
        out.storeBytes(of: UInt8(ascii: "/"), toByteOffset: size, as: UInt8.self)
        size &+= 1
      }
      isFirst = false
      if part.count > 0, let source = part.baseAddress {
        (out + size).copyMemory(from: source, byteCount: part.count)
      }
      size &+= part.count
    }
    return UnsafeRawBufferPointer(start: out, count: size)
  }

  /// What the number path at `index` found: an integer, or a string of digits, up to the largest `Int64`; else nil.
  package func number(_ index: Int) -> Int64? {
    let first = groupMasks.2.trailingZeroBitCount
    if index < 0 || groupMasks.2 == 0 || index > FieldReader.maxPaths { return nil }
    guard let raw = value(first &+ index) else { return nil }
    let digits = bare(raw)
    if digits.isEmpty { return nil }
    var number: UInt64 = 0
    for byte in digits {
      let digit = byte &- UInt8(ascii: "0")
      if digit > 9 { return nil }
      // The largest Int64 ends with 7; a number above it must not be reckoned with.
      if number > 922_337_203_685_477_580 { return nil }
      number = number &* 10 &+ UInt64(digit)
      if number > UInt64(Int64.max) { return nil }
    }
    return Int64(bitPattern: number)
  }

  private func mask(_ group: Group) -> UInt32 {
    switch group {
    case .key: groupMasks.0
    case .sequenceKey: groupMasks.1
    case .number: groupMasks.2
    }
  }

  private func bare(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    if value.count < 2 || value[0] != UInt8(ascii: "\"") { return value }
    return UnsafeRawBufferPointer(rebasing: value[1..<(value.count &- 1)])
  }
}

package fsm

import "slices"

// minSlots is the smallest size of a shard that is not empty.
const minSlots = 8

// slotSizes are the numbers of slots that fill a size class of Go's allocator: any other number would pay for slots that it does not have.
// Beyond the last one it hands out whole pages. They are a matter of memory only: were they wrong, nothing else would be.
var slotSizes = [...]int{8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 36, 40, 44, 48, 56, 64, 72, 84, 96, 100, 108, 128, 152, 168,
	192, 204, 212, 216, 256, 296, 304, 320, 340, 384, 424, 448, 512, 576, 596, 640, 680, 768, 852, 896, 1024}

// slotsOfPage is how many slots fill a page of the allocator.
const slotsOfPage = 8192 / 32

// grown is the size after n: by at most 7/25. A shard grows when it is 7/8 full, so right after it a slot in 1.46 is used, which is 47 bytes for
// each assignment; with the shard's own 64 bytes, the bound of 48 holds from 64 assignments in a shard on.
func grown(n int) int { return sized(n+1, n+n*7/25) }

// fitting is the size for a shard that holds used assignments and is not expected to grow at once: at most 3/4 full where a size class allows it.
func fitting(used int) int {
	if used == 0 {
		return 0
	}
	return sized(used+used/7+1, used+used/3+1)
}

// sized is the largest size of at most most slots, or the smallest one of at least least where there is none in between.
func sized(least, most int) int {
	last := slotSizes[len(slotSizes)-1]
	if most > last {
		if n := most / slotsOfPage * slotsOfPage; n >= least {
			return n
		}
		return (least + slotsOfPage - 1) / slotsOfPage * slotsOfPage
	}
	i, found := slices.BinarySearch(slotSizes[:], most)
	if !found {
		i--
	}
	if i >= 0 && slotSizes[i] >= least {
		return slotSizes[i]
	}
	i, _ = slices.BinarySearch(slotSizes[:], least)
	if i == len(slotSizes) {
		return sized(least, least+slotsOfPage)
	}
	return slotSizes[i]
}

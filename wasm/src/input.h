/* Frames from the guest: the receive buffer, and where a frame in it goes. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

void input_init(void);

/* The buffer for the next frame: ABI_FRAME_CAPACITY bytes, virtio header first. */
uint8_t *input_buffer(void);
/*
 * Leaves the buffer to the caller and provides another. NULL when memory is short: nothing has
 * changed.
 */
uint8_t *input_buffer_take(void);
/* Gives back a buffer that was taken. */
void input_buffer_give(uint8_t *buffer);

/*
 * Processes the frame of `length` bytes in the buffer, virtio header included: ABI_INPUT_… or
 * ABI_DROP_….
 */
int32_t input_frame(uint32_t length);

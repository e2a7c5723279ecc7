/* SPDX-License-Identifier: MIT */
/*
 * Renders by every way in which a GL driver takes objects from its pools (buffers that are mapped, transfers of textures
 * and pixels, queries, contexts), and prints a hash of what came out of each: a line "SCENE HASH", with "error" and its
 * number if GL has one to tell, or "SCENE absent" where the driver lacks an extension. Two libraries below the driver
 * must give the same lines.
 */

#include "gl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 64
#define VERTICES 96
#define ROUNDS 40

struct vertex {
   float x, y;
   unsigned char colour[4];
};

static GLuint colours;
static uint64_t hash;

/* The same numbers in every run. */
static uint32_t
number(void)
{
   static uint32_t state = 12345;

   state = state * 1664525 + 1013904223;
   return state >> 8;
}

static void
fill_vertices(struct vertex *vertices, int count)
{
   for (int i = 0; i < count; i++) {
      vertices[i].x = (float)(number() % 256) / 128.0f - 1.0f;
      vertices[i].y = (float)(number() % 256) / 128.0f - 1.0f;
      for (int c = 0; c < 4; c++)
         vertices[i].colour[c] = (unsigned char)number();
   }
}

static void
fill_bytes(unsigned char *bytes, size_t count)
{
   for (size_t i = 0; i < count; i++)
      bytes[i] = (unsigned char)number();
}

static void
hash_pixels(void)
{
   static unsigned char pixels[SIDE * SIDE * 4];

   glReadPixels(0, 0, SIDE, SIDE, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
   hash = hash_bytes(hash, pixels, sizeof pixels);
}

static void
use_vertices(GLuint buffer)
{
   gl.glBindBuffer(GL_ARRAY_BUFFER, buffer);
   gl.glVertexAttribPointer(0, 2, GL_FLOAT, GL_FALSE, sizeof(struct vertex), (void *)0);
   gl.glVertexAttribPointer(1, 4, GL_UNSIGNED_BYTE, GL_TRUE, sizeof(struct vertex),
                            (void *)offsetof(struct vertex, colour));
   gl.glEnableVertexAttribArray(0);
   gl.glEnableVertexAttribArray(1);
}

static void
draw(int first, int count)
{
   gl.glUseProgram(colours);
   glDrawArrays(GL_TRIANGLES, first, count);
}

static GLuint
vertex_buffer(GLenum usage)
{
   struct vertex vertices[VERTICES];
   GLuint buffer;

   fill_vertices(vertices, VERTICES);
   gl.glGenBuffers(1, &buffer);
   use_vertices(buffer);
   gl.glBufferData(GL_ARRAY_BUFFER, sizeof vertices, vertices, usage);
   return buffer;
}

static void
buffer_data(void)
{
   GLuint buffer = vertex_buffer(GL_STATIC_DRAW);

   draw(0, VERTICES);
   hash_pixels();
   gl.glDeleteBuffers(1, &buffer);
}

static void
buffer_sub_data(void)
{
   GLuint buffer = vertex_buffer(GL_DYNAMIC_DRAW);
   struct vertex vertices[12];

   for (int i = 0; i < ROUNDS; i++) {
      fill_vertices(vertices, 12);
      gl.glBufferSubData(GL_ARRAY_BUFFER, (GLintptr)(number() % (VERTICES - 12) * sizeof(struct vertex)),
                         sizeof vertices, vertices);
      draw(i % 3 * 3, VERTICES - 12);
      if (i % 8 == 0)
         hash_pixels();
   }
   hash_pixels();
   gl.glDeleteBuffers(1, &buffer);
}

static void
map_buffer(void)
{
   static const GLenum access[] = {GL_WRITE_ONLY, GL_READ_WRITE, GL_READ_ONLY};
   GLuint buffer = vertex_buffer(GL_STREAM_DRAW);

   for (int i = 0; i < ROUNDS; i++) {
      GLenum how = access[i % 3];
      struct vertex *vertices = gl.glMapBuffer(GL_ARRAY_BUFFER, how);

      if (how == GL_READ_ONLY)
         hash = hash_bytes(hash, vertices, VERTICES * sizeof *vertices);
      else
         fill_vertices(vertices, VERTICES);
      gl.glUnmapBuffer(GL_ARRAY_BUFFER);
      draw(0, VERTICES);
   }
   hash_pixels();
   gl.glDeleteBuffers(1, &buffer);
}

/* A buffer as large as several staging buffers is drawn from while ranges of it are mapped. */
static void
map_range(GLbitfield flags)
{
   GLuint buffer = vertex_buffer(GL_STREAM_DRAW);

   for (int i = 0; i < ROUNDS; i++) {
      int count = 3 + (int)(number() % 24);
      int first = (int)(number() % (unsigned)(VERTICES - count));
      GLsizeiptr size = (GLsizeiptr)(count * (int)sizeof(struct vertex));

      /* What is invalidated or not waited for has no defined contents unless it is written whole. */
      if (flags & (GL_MAP_INVALIDATE_BUFFER_BIT | GL_MAP_UNSYNCHRONIZED_BIT)) {
         first = 0;
         count = VERTICES;
         size = VERTICES * sizeof(struct vertex);
      }
      if (flags & GL_MAP_UNSYNCHRONIZED_BIT)
         glFinish();

      struct vertex *vertices =
         gl.glMapBufferRange(GL_ARRAY_BUFFER, (GLintptr)(first * (int)sizeof(struct vertex)), size, flags);

      if (flags & GL_MAP_READ_BIT)
         hash = hash_bytes(hash, vertices, (size_t)size);
      if (flags & GL_MAP_WRITE_BIT)
         fill_vertices(vertices, count);
      if (flags & GL_MAP_FLUSH_EXPLICIT_BIT) {
         gl.glFlushMappedBufferRange(GL_ARRAY_BUFFER, 0, size / 2);
         gl.glFlushMappedBufferRange(GL_ARRAY_BUFFER, size / 2, size - size / 2);
      }
      gl.glUnmapBuffer(GL_ARRAY_BUFFER);
      draw(0, VERTICES);
      if (i % 16 == 0)
         hash_pixels();
   }
   hash_pixels();
   gl.glDeleteBuffers(1, &buffer);
}

static void
range_read(void)
{
   map_range(GL_MAP_READ_BIT);
}

static void
range_write(void)
{
   map_range(GL_MAP_WRITE_BIT);
}

static void
range_read_write(void)
{
   map_range(GL_MAP_READ_BIT | GL_MAP_WRITE_BIT);
}

static void
range_invalidate_range(void)
{
   map_range(GL_MAP_WRITE_BIT | GL_MAP_INVALIDATE_RANGE_BIT);
}

static void
range_invalidate_buffer(void)
{
   map_range(GL_MAP_WRITE_BIT | GL_MAP_INVALIDATE_BUFFER_BIT);
}

static void
range_unsynchronised(void)
{
   map_range(GL_MAP_WRITE_BIT | GL_MAP_UNSYNCHRONIZED_BIT);
}

static void
range_flush_explicit(void)
{
   map_range(GL_MAP_WRITE_BIT | GL_MAP_INVALIDATE_RANGE_BIT | GL_MAP_FLUSH_EXPLICIT_BIT);
}

static void
range_invalidate_unsynchronised(void)
{
   map_range(GL_MAP_WRITE_BIT | GL_MAP_INVALIDATE_BUFFER_BIT | GL_MAP_UNSYNCHRONIZED_BIT);
}

static void
persistent(GLbitfield coherent)
{
   GLbitfield flags = GL_MAP_WRITE_BIT | GL_MAP_PERSISTENT_BIT | coherent;
   GLsizeiptr size = VERTICES * sizeof(struct vertex);
   struct vertex *vertices;
   GLuint buffer;

   gl.glGenBuffers(1, &buffer);
   use_vertices(buffer);
   gl.glBufferStorage(GL_ARRAY_BUFFER, size, NULL, flags);
   vertices =
      gl.glMapBufferRange(GL_ARRAY_BUFFER, 0, size, flags | (coherent ? 0 : (GLbitfield)GL_MAP_FLUSH_EXPLICIT_BIT));
   for (int i = 0; i < ROUNDS; i++) {
      fill_vertices(vertices, VERTICES);
      if (!coherent)
         gl.glFlushMappedBufferRange(GL_ARRAY_BUFFER, 0, size);
      draw(0, VERTICES);
      /* Before the next round writes. */
      glFinish();
   }
   hash_pixels();
   gl.glUnmapBuffer(GL_ARRAY_BUFFER);
   gl.glDeleteBuffers(1, &buffer);
}

static void
persistent_coherent(void)
{
   persistent(GL_MAP_COHERENT_BIT);
}

static void
persistent_flushed(void)
{
   persistent(0);
}

/* Many buffers are mapped at once and unmapped in another order. */
static void
many_mapped(void)
{
   enum { COUNT = 300 };
   static GLuint buffers[COUNT];
   static unsigned char back[256];

   gl.glGenBuffers(COUNT, buffers);
   for (int i = 0; i < COUNT; i++) {
      gl.glBindBuffer(GL_ARRAY_BUFFER, buffers[i]);
      gl.glBufferData(GL_ARRAY_BUFFER, sizeof back, NULL, GL_STREAM_DRAW);
      fill_bytes(gl.glMapBuffer(GL_ARRAY_BUFFER, GL_WRITE_ONLY), sizeof back);
   }
   for (int i = 0; i < COUNT; i++) {
      gl.glBindBuffer(GL_ARRAY_BUFFER, buffers[i * 7 % COUNT]);
      gl.glUnmapBuffer(GL_ARRAY_BUFFER);
   }
   for (int i = 0; i < COUNT; i++) {
      gl.glBindBuffer(GL_ARRAY_BUFFER, buffers[i]);
      gl.glGetBufferSubData(GL_ARRAY_BUFFER, 0, sizeof back, back);
      hash = hash_bytes(hash, back, sizeof back);
   }
   gl.glDeleteBuffers(COUNT, buffers);
}

static void
copy_buffer(void)
{
   GLuint from = vertex_buffer(GL_STATIC_DRAW), to = vertex_buffer(GL_STATIC_READ);
   struct vertex back[VERTICES];

   for (int i = 0; i < ROUNDS; i++) {
      struct vertex some[6];

      fill_vertices(some, 6);
      gl.glBindBuffer(GL_COPY_READ_BUFFER, from);
      gl.glBindBuffer(GL_COPY_WRITE_BUFFER, to);
      gl.glBufferSubData(GL_COPY_READ_BUFFER, 0, sizeof some, some);
      gl.glCopyBufferSubData(GL_COPY_READ_BUFFER, GL_COPY_WRITE_BUFFER, 0, (GLintptr)(number() % 80 * sizeof *some),
                             sizeof some);
      gl.glGetBufferSubData(GL_COPY_WRITE_BUFFER, 0, sizeof back, back);
      hash = hash_bytes(hash, back, sizeof back);
   }
   gl.glDeleteBuffers(1, &from);
   gl.glDeleteBuffers(1, &to);
}

static void
texture_formats(void)
{
   static const struct {
      GLint internal;
      GLenum format, type;
      size_t bytes;
   } formats[] = {
      {GL_RGBA8, GL_RGBA, GL_UNSIGNED_BYTE, 4},
      {GL_RGBA8, GL_BGRA, GL_UNSIGNED_INT_8_8_8_8_REV, 4},
      {GL_RGB8, GL_RGB, GL_UNSIGNED_BYTE, 3},
      {GL_RGB5, GL_RGB, GL_UNSIGNED_SHORT_5_6_5, 2},
      {GL_R8, GL_RED, GL_UNSIGNED_BYTE, 1},
      {GL_RG16, GL_RG, GL_UNSIGNED_SHORT, 4},
      {GL_LUMINANCE8_ALPHA8, GL_LUMINANCE_ALPHA, GL_UNSIGNED_BYTE, 2},
      {GL_DEPTH_COMPONENT24, GL_DEPTH_COMPONENT, GL_UNSIGNED_INT, 4},
      {GL_SRGB8_ALPHA8, GL_RGBA, GL_UNSIGNED_BYTE, 4},
   };
   static unsigned char texels[SIDE * SIDE * 4], back[SIDE * SIDE * 4];

   glPixelStorei(GL_UNPACK_ALIGNMENT, 1);
   glPixelStorei(GL_PACK_ALIGNMENT, 1);
   for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
      GLuint texture;

      fill_bytes(texels, sizeof texels);
      glGenTextures(1, &texture);
      glBindTexture(GL_TEXTURE_2D, texture);
      glTexImage2D(GL_TEXTURE_2D, 0, formats[i].internal, SIDE, SIDE, 0, formats[i].format, formats[i].type, texels);
      for (int round = 0; round < 8; round++) {
         fill_bytes(texels, 16 * 16 * 4);
         glTexSubImage2D(GL_TEXTURE_2D, 0, (GLint)(number() % 48), (GLint)(number() % 48), 16, 16, formats[i].format,
                         formats[i].type, texels);
      }
      glGetTexImage(GL_TEXTURE_2D, 0, formats[i].format, formats[i].type, back);
      hash = hash_bytes(hash, back, SIDE * SIDE * formats[i].bytes);
      glDeleteTextures(1, &texture);
   }
}

static void
volumes(void)
{
   static unsigned char texels[16 * 16 * 16 * 4], back[16 * 16 * 16 * 4];
   static const GLenum targets[] = {GL_TEXTURE_3D, GL_TEXTURE_2D_ARRAY};

   for (int t = 0; t < 2; t++) {
      GLuint texture;

      fill_bytes(texels, sizeof texels);
      glGenTextures(1, &texture);
      glBindTexture(targets[t], texture);
      gl.glTexImage3D(targets[t], 0, GL_RGBA8, 16, 16, 16, 0, GL_RGBA, GL_UNSIGNED_BYTE, texels);
      for (int round = 0; round < ROUNDS; round++) {
         fill_bytes(texels, 4 * 4 * 4 * 4);
         gl.glTexSubImage3D(targets[t], 0, (GLint)(number() % 12), (GLint)(number() % 12), (GLint)(number() % 12), 4, 4,
                            4, GL_RGBA, GL_UNSIGNED_BYTE, texels);
      }
      glGetTexImage(targets[t], 0, GL_RGBA, GL_UNSIGNED_BYTE, back);
      hash = hash_bytes(hash, back, sizeof back);
      glDeleteTextures(1, &texture);
   }
}

static void
mipmaps(void)
{
   static unsigned char texels[SIDE * SIDE * 4];
   GLuint texture;

   fill_bytes(texels, sizeof texels);
   glGenTextures(1, &texture);
   glBindTexture(GL_TEXTURE_2D, texture);
   glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA8, SIDE, SIDE, 0, GL_RGBA, GL_UNSIGNED_BYTE, texels);
   gl.glGenerateMipmap(GL_TEXTURE_2D);
   for (int level = 0; SIDE >> level; level++) {
      size_t side = (size_t)SIDE >> level;

      glGetTexImage(GL_TEXTURE_2D, level, GL_RGBA, GL_UNSIGNED_BYTE, texels);
      hash = hash_bytes(hash, texels, side * side * 4);
   }
   glCopyTexSubImage2D(GL_TEXTURE_2D, 0, 8, 8, 0, 0, 32, 32);
   glGetTexImage(GL_TEXTURE_2D, 0, GL_RGBA, GL_UNSIGNED_BYTE, texels);
   hash = hash_bytes(hash, texels, sizeof texels);
   glDeleteTextures(1, &texture);
}

/* Pixel buffers: textures are filled from one and read into another, and the frame as well. */
static void
pixel_buffers(void)
{
   GLsizeiptr size = SIDE * SIDE * 4;
   GLuint buffers[2], texture;
   void *bytes;

   glGenTextures(1, &texture);
   glBindTexture(GL_TEXTURE_2D, texture);
   glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA8, SIDE, SIDE, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
   gl.glGenBuffers(2, buffers);
   for (int i = 0; i < ROUNDS; i++) {
      gl.glBindBuffer(GL_PIXEL_UNPACK_BUFFER, buffers[0]);
      gl.glBufferData(GL_PIXEL_UNPACK_BUFFER, size, NULL, GL_STREAM_DRAW);
      fill_bytes(gl.glMapBuffer(GL_PIXEL_UNPACK_BUFFER, GL_WRITE_ONLY), (size_t)size);
      gl.glUnmapBuffer(GL_PIXEL_UNPACK_BUFFER);
      glTexSubImage2D(GL_TEXTURE_2D, 0, 0, 0, SIDE, SIDE, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
      gl.glBindBuffer(GL_PIXEL_PACK_BUFFER, buffers[1]);
      gl.glBufferData(GL_PIXEL_PACK_BUFFER, size, NULL, GL_STREAM_READ);
      if (i % 2)
         glGetTexImage(GL_TEXTURE_2D, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
      else
         glReadPixels(0, 0, SIDE, SIDE, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
      bytes = gl.glMapBufferRange(GL_PIXEL_PACK_BUFFER, 0, size, GL_MAP_READ_BIT);
      hash = hash_bytes(hash, bytes, (size_t)size);
      gl.glUnmapBuffer(GL_PIXEL_PACK_BUFFER);
   }
   gl.glBindBuffer(GL_PIXEL_UNPACK_BUFFER, 0);
   gl.glBindBuffer(GL_PIXEL_PACK_BUFFER, 0);
   gl.glDeleteBuffers(2, buffers);
   glDeleteTextures(1, &texture);
}

static void
queries(void)
{
   static const GLenum kinds[] = {GL_SAMPLES_PASSED, GL_ANY_SAMPLES_PASSED, GL_PRIMITIVES_GENERATED};
   enum { COUNT = 150 };
   static GLuint names[COUNT];
   GLuint buffer = vertex_buffer(GL_STATIC_DRAW);
   GLuint result;

   gl.glGenQueries(COUNT, names);
   for (int i = 0; i < COUNT; i++) {
      gl.glBeginQuery(kinds[i % 3], names[i]);
      draw(i % 20 * 3, 3 + i % 7 * 3);
      gl.glEndQuery(kinds[i % 3]);
   }
   for (int i = COUNT - 1; i >= 0; i--) {
      gl.glGetQueryObjectuiv(names[i], GL_QUERY_RESULT, &result);
      hash = hash_bytes(hash, &result, sizeof result);
   }
   gl.glBeginConditionalRender(names[1], GL_QUERY_WAIT);
   draw(30, 30);
   gl.glEndConditionalRender();
   hash_pixels();
   gl.glDeleteQueries(COUNT, names);
   gl.glDeleteBuffers(1, &buffer);
}

/* Queries of time, of which there is only to say that there is a result; those of a context come and go. */
static void
times(void)
{
   GLuint names[4], result;

   for (int i = 0; i < ROUNDS; i++) {
      gl.glGenQueries(4, names);
      for (int k = 0; k < 4; k++)
         gl.glQueryCounter(names[k], GL_TIMESTAMP);
      gl.glGetQueryObjectuiv(names[3], GL_QUERY_RESULT_AVAILABLE, &result);
      gl.glGetQueryObjectuiv(names[0], GL_QUERY_RESULT, &result);
      gl.glDeleteQueries(4, names);
   }
}

static void
fences(void)
{
   GLuint buffer = vertex_buffer(GL_STATIC_DRAW);
   GLsync fence[8];

   for (int i = 0; i < ROUNDS; i++) {
      draw(i, 12);
      fence[i % 8] = gl.glFenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
      if (i % 8 == 7)
         for (int k = 7; k >= 0; k--) {
            GLenum status = gl.glClientWaitSync(fence[k], GL_SYNC_FLUSH_COMMANDS_BIT, 10000000000u);

            status = status == GL_TIMEOUT_EXPIRED || status == GL_WAIT_FAILED;
            hash = hash_bytes(hash, &status, sizeof status);
            gl.glDeleteSync(fence[k]);
         }
   }
   hash_pixels();
   gl.glDeleteBuffers(1, &buffer);
}

static void
fixed_functions(void)
{
   static unsigned char pixels[16 * 16 * 4];
   GLuint list = glGenLists(1);

   gl.glUseProgram(0);
   gl.glBindBuffer(GL_ARRAY_BUFFER, 0);
   for (int i = 0; i < ROUNDS; i++) {
      glNewList(list, GL_COMPILE);
      glBegin(GL_TRIANGLES);
      for (int k = 0; k < 9; k++) {
         glColor3ub((GLubyte)number(), (GLubyte)number(), (GLubyte)number());
         glVertex2f((float)(number() % 256) / 128 - 1, (float)(number() % 256) / 128 - 1);
      }
      glEnd();
      glEndList();
      glCallList(list);
      fill_bytes(pixels, sizeof pixels);
      glRasterPos2f(-0.5f, (float)i / 64);
      glDrawPixels(16, 16, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
      glBitmap(16, 16, 0, 0, 4, 4, pixels);
      glCopyPixels(0, 0, 8, 8, GL_COLOR);
   }
   hash_pixels();
   glDeleteLists(list, 1);
}

static void
client_arrays(void)
{
   struct vertex vertices[30];
   unsigned short indices[30];

   gl.glBindBuffer(GL_ARRAY_BUFFER, 0);
   gl.glUseProgram(colours);
   for (int i = 0; i < ROUNDS; i++) {
      fill_vertices(vertices, 30);
      for (int k = 0; k < 30; k++)
         indices[k] = (unsigned short)(number() % 30);
      gl.glVertexAttribPointer(0, 2, GL_FLOAT, GL_FALSE, sizeof *vertices, &vertices[0].x);
      gl.glVertexAttribPointer(1, 4, GL_UNSIGNED_BYTE, GL_TRUE, sizeof *vertices, vertices[0].colour);
      gl.glEnableVertexAttribArray(0);
      gl.glEnableVertexAttribArray(1);
      glDrawElements(GL_TRIANGLES, 30, GL_UNSIGNED_SHORT, indices);
   }
   hash_pixels();
}

static void
multisampled(void)
{
   GLuint buffer = vertex_buffer(GL_STATIC_DRAW), frame, colour;
   GLint before, most;

   glGetIntegerv(GL_FRAMEBUFFER_BINDING, &before);
   glGetIntegerv(GL_MAX_SAMPLES, &most);
   gl.glGenFramebuffers(1, &frame);
   gl.glGenRenderbuffers(1, &colour);
   gl.glBindRenderbuffer(GL_RENDERBUFFER, colour);
   gl.glRenderbufferStorageMultisample(GL_RENDERBUFFER, most < 4 ? most : 4, GL_RGBA8, SIDE, SIDE);
   gl.glBindFramebuffer(GL_FRAMEBUFFER, frame);
   gl.glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, colour);
   glClear(GL_COLOR_BUFFER_BIT);
   draw(0, VERTICES);
   gl.glBindFramebuffer(GL_DRAW_FRAMEBUFFER, (GLuint)before);
   gl.glBlitFramebuffer(0, 0, SIDE, SIDE, 0, 0, SIDE, SIDE, GL_COLOR_BUFFER_BIT, GL_NEAREST);
   gl.glBindFramebuffer(GL_FRAMEBUFFER, (GLuint)before);
   hash_pixels();
   gl.glDeleteFramebuffers(1, &frame);
   gl.glDeleteRenderbuffers(1, &colour);
   gl.glDeleteBuffers(1, &buffer);
}

static void
transform_feedback(void)
{
   static const char *const captured[] = {"gl_Position"};
   GLuint buffer = vertex_buffer(GL_STATIC_DRAW), out, program;
   float back[12][4];

   program = gl_program("#version 130\nin vec2 position; in vec4 colour; out vec4 shade;"
                        "void main() { shade = colour; gl_Position = vec4(position * 0.5, 0, 1); }",
                        "#version 130\nin vec4 shade; out vec4 pixel; void main() { pixel = shade; }");
   gl.glTransformFeedbackVaryings(program, 1, captured, GL_INTERLEAVED_ATTRIBS);
   gl.glLinkProgram(program);
   gl.glGenBuffers(1, &out);
   gl.glBindBufferBase(GL_TRANSFORM_FEEDBACK_BUFFER, 0, out);
   gl.glBufferData(GL_TRANSFORM_FEEDBACK_BUFFER, sizeof back, NULL, GL_STREAM_READ);
   gl.glUseProgram(program);
   for (int i = 0; i < ROUNDS; i++) {
      gl.glBeginTransformFeedback(GL_TRIANGLES);
      glDrawArrays(GL_TRIANGLES, i, 12);
      gl.glEndTransformFeedback();
      gl.glGetBufferSubData(GL_TRANSFORM_FEEDBACK_BUFFER, 0, sizeof back, back);
      hash = hash_bytes(hash, back, sizeof back);
   }
   hash_pixels();
   gl.glBindBufferBase(GL_TRANSFORM_FEEDBACK_BUFFER, 0, 0);
   gl.glDeleteProgram(program);
   gl.glDeleteBuffers(1, &out);
   gl.glDeleteBuffers(1, &buffer);
}

static void
texture_buffer(void)
{
   GLuint buffer, texture, program, vertices = vertex_buffer(GL_STATIC_DRAW);

   program = gl_program("#version 140\nin vec2 position; in vec4 colour;"
                        "void main() { gl_Position = vec4(position, colour.x * 0.0001, 1); }",
                        "#version 140\nuniform samplerBuffer texels; out vec4 pixel; void main()"
                        "{ pixel = texelFetch(texels, int(gl_FragCoord.x)); }");
   gl.glGenBuffers(1, &buffer);
   gl.glBindBuffer(GL_TEXTURE_BUFFER, buffer);
   gl.glBufferData(GL_TEXTURE_BUFFER, SIDE * 4, NULL, GL_STREAM_DRAW);
   glGenTextures(1, &texture);
   glBindTexture(GL_TEXTURE_BUFFER, texture);
   gl.glTexBuffer(GL_TEXTURE_BUFFER, GL_RGBA8, buffer);
   gl.glUseProgram(program);
   gl.glUniform1i(gl.glGetUniformLocation(program, "texels"), 0);
   for (int i = 0; i < ROUNDS; i++) {
      fill_bytes(gl.glMapBufferRange(GL_TEXTURE_BUFFER, 0, SIDE * 4, GL_MAP_WRITE_BIT | GL_MAP_INVALIDATE_BUFFER_BIT),
                 SIDE * 4);
      gl.glUnmapBuffer(GL_TEXTURE_BUFFER);
      glDrawArrays(GL_TRIANGLES, 0, VERTICES);
   }
   hash_pixels();
   gl.glDeleteProgram(program);
   glDeleteTextures(1, &texture);
   gl.glDeleteBuffers(1, &buffer);
   gl.glDeleteBuffers(1, &vertices);
}

static const struct {
   const char *name;
   void (*run)(void);
   const char *needs;
} scenes[] = {
   {"buffer-data", buffer_data, NULL},
   {"buffer-sub-data", buffer_sub_data, NULL},
   {"map-buffer", map_buffer, NULL},
   {"range-read", range_read, NULL},
   {"range-write", range_write, NULL},
   {"range-read-write", range_read_write, NULL},
   {"range-invalidate-range", range_invalidate_range, NULL},
   {"range-invalidate-buffer", range_invalidate_buffer, NULL},
   {"range-unsynchronised", range_unsynchronised, NULL},
   {"range-flush-explicit", range_flush_explicit, NULL},
   {"range-invalidate-unsynchronised", range_invalidate_unsynchronised, NULL},
   {"persistent-coherent", persistent_coherent, "GL_ARB_buffer_storage"},
   {"persistent-flushed", persistent_flushed, "GL_ARB_buffer_storage"},
   {"many-mapped", many_mapped, NULL},
   {"copy-buffer", copy_buffer, "GL_ARB_copy_buffer"},
   {"texture-formats", texture_formats, NULL},
   {"volumes", volumes, "GL_EXT_texture_array"},
   {"mipmaps", mipmaps, NULL},
   {"pixel-buffers", pixel_buffers, NULL},
   {"queries", queries, "GL_ARB_occlusion_query2"},
   {"times", times, "GL_ARB_timer_query"},
   {"fences", fences, "GL_ARB_sync"},
   {"fixed-functions", fixed_functions, NULL},
   {"client-arrays", client_arrays, NULL},
   {"multisampled", multisampled, "GL_ARB_framebuffer_object"},
   {"transform-feedback", transform_feedback, "GL_EXT_transform_feedback"},
   {"texture-buffer", texture_buffer, "GL_ARB_texture_buffer_object"},
};

/* A frame of our own, as what is drawn to a window may be covered. */
static void
start_frame(void)
{
   GLuint frame, colour;

   gl.glGenFramebuffers(1, &frame);
   gl.glGenRenderbuffers(1, &colour);
   gl.glBindRenderbuffer(GL_RENDERBUFFER, colour);
   gl.glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, SIDE, SIDE);
   gl.glBindFramebuffer(GL_FRAMEBUFFER, frame);
   gl.glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, colour);
   if (gl.glCheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE)
      fail("the frame is not complete");
   glViewport(0, 0, SIDE, SIDE);
   colours = gl_program("#version 120\nattribute vec2 position; attribute vec4 colour;"
                        "varying vec4 shade;"
                        "void main() { shade = colour; gl_Position = vec4(position, 0, 1); }",
                        "#version 120\nvarying vec4 shade; void main() { gl_FragColor = shade; }");
}

static void
run_scenes(const char *prefix, const char *only)
{
   for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
      GLenum error;

      if (only && strcmp(only, scenes[i].name))
         continue;
      if (scenes[i].needs && !gl_has(scenes[i].needs)) {
         printf("%s%s absent\n", prefix, scenes[i].name);
         continue;
      }
      hash = HASH_START;
      glClearColor(0.25f, 0.5f, 0.75f, 1);
      glClear(GL_COLOR_BUFFER_BIT);
      scenes[i].run();
      printf("%s%s %016llx", prefix, scenes[i].name, (unsigned long long)hash);
      if ((error = glGetError()))
         printf(" error %#x", error);
      printf("\n");
   }
}

/*
 * draw [SCENE | --list]: all scenes in one context, then those of buffers and textures in a second one that shares with it,
 * and goes after the first.
 */
int
main(int argc, char **argv)
{
   const char *only = argc > 1 ? argv[1] : NULL;
   GLXContext first, second;

   if (only && !strcmp(only, "--list")) {
      for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
         puts(scenes[i].name);
      return 0;
   }
   first = gl_start();
   printf("%s, %s\n", (const char *)glGetString(GL_RENDERER), (const char *)glGetString(GL_VERSION));
   start_frame();
   run_scenes("", only);
   second = gl_context(first);
   gl_use(second);
   gl_destroy(first);
   start_frame();
   run_scenes("second ", only);
   gl_use(NULL);
   gl_destroy(second);
   gl_end();
   return 0;
}
